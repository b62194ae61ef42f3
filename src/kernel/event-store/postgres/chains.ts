import { UnavailableError } from '../../core/errors.ts';
import type { PipelinedConnection } from '../../postgres/pipeline.ts';
import type { Sql } from '../../postgres/sql.ts';
import type { ChainEnd } from './append.ts';

/** First key of the advisory locks that say which session writes a chain; the second is the chain. */
const CHAIN_LOCK = 8081;
const TERMINATE_TIMEOUT_MS = 5000;

interface ChainRow {
  readonly chain: number;
  readonly position: number;
  readonly hash: string;
}

/**
 * Takes a chain that no live session writes, or starts a new one. The advisory lock lives as long as the connection. It only
 * keeps writers apart: what makes a chain whole is that `begin_append` moves its end from the expected position.
 */
export async function claimChain(connection: PipelinedConnection): Promise<ChainEnd> {
  const [free] = await connection.transaction([
    {
      name: 'claim_chain',
      text: `SELECT chain, position, encode(hash, 'hex') AS hash FROM event_chains
        WHERE chain NOT IN (SELECT objid::int FROM pg_locks WHERE locktype = 'advisory' AND classid = ${CHAIN_LOCK})
          AND pg_try_advisory_lock(${CHAIN_LOCK}, chain)
        ORDER BY chain LIMIT 1`,
      values: [],
    },
  ]);
  const found = (free as ChainRow[])[0];
  if (found !== undefined) return found;
  const [, made] = await connection.transaction([
    { name: 'lock_new_chains', text: 'LOCK TABLE event_chains IN SHARE ROW EXCLUSIVE MODE', values: [] },
    {
      name: 'start_chain',
      text: `WITH started AS (INSERT INTO event_chains DEFAULT VALUES RETURNING chain, position, encode(hash, 'hex') AS hash)
        SELECT chain, position, hash FROM started WHERE pg_try_advisory_lock(${CHAIN_LOCK}, chain)`,
      values: [],
    },
  ]);
  return (made as ChainRow[])[0]!;
}

/** The chain's end, once no transaction that moves it is under way. */
export async function fetchChainEnd(sql: Sql, chain: number): Promise<ChainEnd> {
  const rows = await sql.query<ChainRow>(
    `SELECT chain, position, encode(hash, 'hex') AS hash FROM event_chains WHERE chain = $1 FOR UPDATE`,
    [chain],
  );
  if (rows[0] === undefined) throw new Error(`chain ${chain} is gone from event_chains`);
  return rows[0];
}

/**
 * Makes sure that a session whose connection was lost does nothing more: the server may not have noticed the loss yet.
 * The name guards against another session that got the same process id.
 */
export async function releaseSession(sql: Sql, pid: number, applicationName: string): Promise<void> {
  const rows = await sql.query<{ ended: boolean }>(
    'SELECT pg_terminate_backend(pid, $3) AS ended FROM pg_stat_activity WHERE pid = $1 AND application_name = $2',
    [pid, applicationName, TERMINATE_TIMEOUT_MS],
  );
  if (rows[0]?.ended === false) throw new UnavailableError(`the lost session ${pid} of ${applicationName} does not end`);
}
