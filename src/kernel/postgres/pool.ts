import pg from 'pg';
import { connectionOptions, STALLED_TRANSACTION_MS } from './driver.ts';
import type { Sql } from './sql.ts';
import { translate } from './sqlstate.ts';

export interface PoolSettings {
  readonly url: string;
  readonly applicationName: string;
  /** At most so many connections. */
  readonly maxConnections: number;
  /** A statement that runs longer is cancelled, milliseconds. */
  readonly statementTimeoutMs: number;
  /** See `STALLED_TRANSACTION_MS`, which is the default. */
  readonly stalledTransactionMs?: number;
}

export interface Pool extends Sql {
  /** Connections in use, idle and waited for, for metrics. */
  usage(): { readonly total: number; readonly idle: number; readonly waiting: number; readonly max: number };
  /** Runs `work` on one connection inside a transaction: all of it or nothing. */
  transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** A bounded pool of connections for reads and for small transactions; batches have connections of their own. */
export function createPool(settings: PoolSettings, onError: (error: Error) => void): Pool {
  const pool = new pg.Pool({
    ...connectionOptions(settings.url, settings.applicationName),
    max: settings.maxConnections,
    idleTimeoutMillis: 30_000,
    statement_timeout: settings.statementTimeoutMs,
    idle_in_transaction_session_timeout: settings.stalledTransactionMs ?? STALLED_TRANSACTION_MS,
  });
  pool.on('error', onError);
  // One in use fails its next statement; that nobody listens in between would end the process.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return {
    query: (text, params) => run(pool, text, params),
    transaction: (work) => inTransaction(pool, work),
    usage: () => ({
      total: pool.totalCount,
      idle: pool.idleCount,
      waiting: pool.waitingCount,
      max: settings.maxConnections,
    }),
    close: () => pool.end(),
  };
}

interface Queryable {
  query(text: string, params?: unknown[]): Promise<{ rows: unknown[] }>;
}

async function run<T>(on: Queryable, text: string, params: readonly unknown[] = []): Promise<readonly T[]> {
  try {
    return (await on.query(text, params as unknown[])).rows as T[];
  } catch (cause) {
    throw translate(cause);
  }
}

async function inTransaction<T>(pool: pg.Pool, work: (sql: Sql) => Promise<T>): Promise<T> {
  const client = await pool.connect().catch((cause: unknown) => {
    throw translate(cause);
  });
  let broken: Error | undefined;
  try {
    await run(client, 'BEGIN');
    const result = await work({ query: (text, params) => run(client, text, params) });
    await run(client, 'COMMIT');
    return result;
  } catch (cause) {
    await client.query('ROLLBACK').catch((error: Error) => {
      broken = error;
    });
    throw cause;
  } finally {
    client.release(broken);
  }
}
