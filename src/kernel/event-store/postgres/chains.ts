import { UnavailableError } from '../../core/errors.ts';
import type { PipelinedConnection } from '../../postgres/pipeline.ts';
import type { Sql } from '../../postgres/sql.ts';
import type { ChainEnd } from '../seal.ts';

const TERMINATE_TIMEOUT_MS = 5000;

/** Takes a chain that no live session writes, or starts a new one; it is this session's until the connection ends. */
export async function claimChain(connection: PipelinedConnection): Promise<ChainEnd> {
  const [end] = await connection.query<ChainEnd>(
    `SELECT chain, position, encode(hash, 'hex') AS hash FROM claim_chain()`,
  );
  return end!;
}

/** True when the chain holds the event with this link, at the position of `end`. */
export async function holdsLink(sql: Sql, end: ChainEnd): Promise<boolean> {
  const rows = await sql.query<{ hash: string }>(
    `SELECT encode(hash, 'hex') AS hash FROM events WHERE chain = $1 AND chain_position = $2`,
    [end.chain, end.position],
  );
  return rows.some((row) => row.hash === end.hash);
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
  if (rows[0]?.ended === false)
    throw new UnavailableError(`the lost session ${pid} of ${applicationName} does not end`);
}
