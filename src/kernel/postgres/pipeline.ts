import type { Writable } from 'node:stream';
import pg from 'pg';
import { UnavailableError } from '../core/errors.ts';
import { connectionOptions } from './driver.ts';
import { translate } from './sqlstate.ts';

/** One statement of a pipelined transaction; prepared once per connection under its name. */
export interface Statement {
  readonly name: string;
  readonly text: string;
  readonly values: readonly unknown[];
}

/** One connection on which a whole transaction is sent at once and costs one round trip. */
export interface PipelinedConnection {
  /** The server's process id of this connection. */
  readonly pid: number;
  /**
   * Runs the statements in one transaction and gives the rows of each.
   * @throws the first statement's error, as `sqlstate.translate` makes it; then nothing took effect. When the
   *   connection breaks before the answer to COMMIT, whether it took effect is unknown (UnavailableError).
   */
  transaction(statements: readonly Statement[]): Promise<readonly (readonly unknown[])[]>;
  /** True once the connection broke: it has to be replaced. */
  readonly broken: boolean;
  close(): Promise<void>;
}

/**
 * Opens a connection of its own, outside any pool.
 * @param timeoutMs the connection is given up when a statement is not answered for so long, milliseconds
 * @throws UnavailableError
 */
export async function openPipelinedConnection(
  url: string,
  applicationName: string,
  timeoutMs: number,
): Promise<PipelinedConnection> {
  const options = { ...connectionOptions(url, applicationName), pipeline: true, query_timeout: timeoutMs };
  const client = new pg.Client(options as pg.ClientConfig);
  let broken = false;
  client.on('error', () => {
    broken = true;
  });
  client.on('end', () => {
    broken = true;
  });
  try {
    await client.connect();
  } catch (cause) {
    throw translate(cause);
  }
  return {
    pid: (client as unknown as { processID: number }).processID,
    get broken() {
      return broken;
    },
    transaction: async (statements) => {
      if (broken) throw new UnavailableError('the connection to PostgreSQL is broken');
      return sendTransaction(client, statements);
    },
    close: () => client.end(),
  };
}

async function sendTransaction(client: pg.Client, statements: readonly Statement[]): Promise<readonly unknown[][]> {
  const outcomes = await Promise.allSettled(sendAtOnce(client, statements));
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) throw translate(failed.reason);
  return outcomes.slice(1, -1).map((outcome) => (outcome as PromiseFulfilledResult<pg.QueryResult>).value.rows);
}

/** All statements leave in one write: the driver alone would make one of each, and wake the server as often. */
function sendAtOnce(client: pg.Client, statements: readonly Statement[]): readonly Promise<pg.QueryResult>[] {
  const { stream } = (client as unknown as { connection: { stream: Writable } }).connection;
  stream.cork();
  try {
    return [
      client.query('BEGIN'),
      ...statements.map((s) => client.query({ name: s.name, text: s.text, values: s.values as unknown[] })),
      client.query('COMMIT'),
    ];
  } finally {
    stream.uncork();
  }
}
