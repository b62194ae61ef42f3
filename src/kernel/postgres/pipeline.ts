import type { Writable } from 'node:stream';
import pg from 'pg';
import { UnavailableError } from '../core/errors.ts';
import { connectionOptions, STALLED_TRANSACTION_MS } from './driver.ts';
import { translate } from './sqlstate.ts';

/** One statement of a pipelined transaction; prepared once per connection under its name. */
export interface Statement {
  readonly name: string;
  readonly text: string;
  /** Buffers are parameters in binary format; anything else is sent as text. */
  readonly values: readonly unknown[];
}

/** One connection on which a whole transaction is sent at once and costs one round trip. */
export interface PipelinedConnection {
  /** The server's process id of this connection. */
  readonly pid: number;
  /**
   * The rows of one statement without parameters.
   * @throws what `sqlstate.translate` makes of the error
   */
  query<Row extends object>(text: string): Promise<readonly Row[]>;
  /**
   * Runs the statements in one transaction; their rows are ignored. One that is called while another runs is sent at once,
   * where the server knows its statements, and run right after it, whatever becomes of that.
   * @throws the first statement's error, as `sqlstate.translate` makes it; then nothing took effect. When the
   *   connection breaks before the answer, whether it took effect is unknown (UnavailableError).
   */
  transaction(statements: readonly Statement[]): Promise<void>;
  /** True once the connection broke: it has to be replaced. */
  readonly broken: boolean;
  close(): Promise<void>;
}

/** The part of the driver's connection that writes the frontend's messages. */
interface Wire {
  readonly stream: Writable;
  parse(message: { readonly name: string; readonly text: string }): void;
  execute(message: object): void;
  sync(): void;
  close(message: { readonly type: 'S'; readonly name: string }): void;
}

/** Which statements the server knows by name. */
interface Prepared {
  readonly known: Set<string>;
  /** Sent in a transaction that failed, perhaps before they were reached. */
  readonly doubtful: Set<string>;
}

/**
 * Of one that did not arrive as a whole, PostgreSQL does not think as idle: only `transaction_timeout` ends it, which there is
 * from version 17 on.
 */
const LIMIT_TRANSACTIONS = `SELECT set_config(name, $1, false) FROM pg_settings WHERE name = 'transaction_timeout'`;

/**
 * Opens a connection of its own, outside any pool.
 * @param timeoutMs the connection is given up when it does not answer for so long, milliseconds
 * @param stalledTransactionMs a transaction that takes longer is ended by PostgreSQL, milliseconds
 * @throws UnavailableError
 */
export async function openPipelinedConnection(
  url: string,
  applicationName: string,
  timeoutMs: number,
  stalledTransactionMs = STALLED_TRANSACTION_MS,
): Promise<PipelinedConnection> {
  const client = new pg.Client(connectionOptions(url, applicationName));
  const prepared: Prepared = { known: new Set(), doubtful: new Set() };
  let broken = false;
  /** Calls that are not answered yet, and those of them that the driver has still to send. */
  const calls = { open: 0, unsent: 0 };
  client.on('error', () => {
    broken = true;
  });
  client.on('end', () => {
    broken = true;
  });
  try {
    await client.connect();
    await client.query(LIMIT_TRANSACTIONS, [String(stalledTransactionMs)]);
  } catch (cause) {
    await client.end().catch(() => undefined);
    throw translate(cause);
  }
  const { processID, connection } = client as unknown as { processID: number; connection: Wire };

  const answered = async <T>(work: () => Promise<T>): Promise<T> => {
    if (broken) throw new UnavailableError('the connection to PostgreSQL is broken');
    const timer = setTimeout(() => connection.stream.destroy(), timeoutMs);
    calls.open += 1;
    try {
      return await work();
    } catch (cause) {
      throw translate(cause);
    } finally {
      calls.open -= 1;
      clearTimeout(timer);
    }
  };

  /** Transactions wait here, not in the driver, which is to be given one at a time. */
  const waiting: pg.Submittable[] = [];
  let running = false;
  const runNext = (): void => {
    const next = waiting.shift();
    running = next !== undefined;
    if (next !== undefined) client.query(next);
  };

  /** The driver sends a query when the one before it is answered. What stands behind nothing unsent need not wait for that. */
  const sendAhead = (statements: readonly Statement[]): boolean => {
    if (calls.open === 1 || calls.unsent > 0 || statements.some(({ name }) => !prepared.known.has(name))) return false;
    send(statements, new Set(), prepared, connection);
    return true;
  };

  return {
    pid: processID,
    get broken() {
      return broken;
    },
    query: (text) =>
      answered(async () => {
        calls.unsent += 1;
        try {
          return (await client.query(text)).rows;
        } finally {
          calls.unsent -= 1;
        }
      }),
    transaction: (statements) =>
      answered(
        () =>
          new Promise((resolve, reject) => {
            const sent = sendAhead(statements);
            if (!sent) calls.unsent += 1;
            const submit = (unknown: ReadonlySet<string>): void => {
              if (sent) return;
              calls.unsent -= 1;
              send(statements, new Set(unknown), prepared, connection);
            };
            let ended = false;
            const end = (error?: Error): void => {
              if (ended) return;
              ended = true;
              runNext();
              if (error === undefined) resolve();
              else reject(error);
            };
            waiting.push(transactionOf(statements, prepared, submit, end));
            if (!running) runNext();
          }),
      ),
    close: () => client.end(),
  };
}

/**
 * The statements as one query of the driver (a `Submittable`, as pg-cursor is one): Parse where needed, Bind and Execute
 * for each, and one Sync for all. What stands before a Sync is one transaction: the Sync commits it, and after an error
 * the server skips everything up to it. One Sync is also one answer; one for each statement would wake us as often.
 * Protocol: https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
 */
function transactionOf(
  statements: readonly Statement[],
  prepared: Prepared,
  submit: (unknown: ReadonlySet<string>) => void,
  end: (error?: Error) => void,
): pg.Submittable {
  let unknown: ReadonlySet<string> = new Set();
  const transaction = {
    submit: () => {
      unknown = new Set(statements.map(({ name }) => name).filter((name) => !prepared.known.has(name)));
      submit(unknown);
    },
    handleError: (error: Error) => {
      for (const name of unknown) prepared.doubtful.add(name);
      end(error);
    },
    handleReadyForQuery: () => {
      for (const name of unknown) {
        prepared.known.add(name);
        prepared.doubtful.delete(name);
      }
      end();
    },
    handleDataRow: () => undefined,
    handleCommandComplete: () => undefined,
    handleEmptyQuery: () => undefined,
  };
  return transaction;
}

/** All messages leave in one write: the driver alone would make one of each, and wake the server as often. */
function send(statements: readonly Statement[], unknown: Set<string>, prepared: Prepared, connection: Wire): void {
  const { stream } = connection;
  stream.cork();
  try {
    for (const { name, text, values } of statements) {
      if (unknown.delete(name)) {
        if (prepared.doubtful.has(name)) connection.close({ type: 'S', name });
        connection.parse({ name, text });
      }
      writeBind(stream, name, values);
      connection.execute({});
    }
    connection.sync();
  } finally {
    stream.uncork();
  }
}

const BIND = 'B'.charCodeAt(0);
const NULL = Buffer.from([0xff, 0xff, 0xff, 0xff]);
const TEXT = 0;
const BINARY = 1;
/** Results in text, of which nobody reads any. */
const TEXT_RESULTS = Buffer.from([0, 0]);

/**
 * Bind of the unnamed portal, with parameters that are buffers handed on as they are: the driver's own would copy these
 * hundreds of kilobytes three times. Format: https://www.postgresql.org/docs/18/protocol-message-formats.html
 */
function writeBind(stream: Writable, statement: string, values: readonly unknown[]): void {
  const parameters = values.map((value) =>
    value === null || value === undefined || Buffer.isBuffer(value) ? value : Buffer.from(String(value)),
  );
  const bytes = parameters.reduce<number>((sum, parameter) => sum + 4 + (parameter?.length ?? 0), 0);
  const nameBytes = Buffer.byteLength(statement);
  const head = Buffer.allocUnsafe(1 + 4 + 1 + nameBytes + 1 + 2 + 2 * values.length + 2);
  head[0] = BIND;
  head.writeInt32BE(head.length - 1 + bytes + TEXT_RESULTS.length, 1);
  head[5] = 0;
  let at = 6 + head.write(statement, 6);
  head[at++] = 0;
  at = head.writeInt16BE(values.length, at);
  for (const value of values) at = head.writeInt16BE(Buffer.isBuffer(value) ? BINARY : TEXT, at);
  head.writeInt16BE(values.length, at);
  stream.write(head);
  for (const parameter of parameters) {
    if (parameter === null || parameter === undefined) {
      stream.write(NULL);
      continue;
    }
    const length = Buffer.allocUnsafe(4);
    length.writeInt32BE(parameter.length);
    stream.write(length);
    stream.write(parameter);
  }
  stream.write(TEXT_RESULTS);
}
