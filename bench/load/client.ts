import { type Connection, type Outcome, openConnection } from './connection.ts';
import type { RequestSource } from './requests.ts';
import type { Tally } from './tally.ts';

export interface ClientOptions {
  readonly port: number;
  /** Answered as soon as the payment is accepted. */
  readonly plain: RequestSource;
  /** Answered with the payment's final status. */
  readonly waiting: RequestSource;
  /** Asked before each request: whether it is to be a waiting one. */
  isSample(): boolean;
}

const CREATED = 201;
const RECONNECT_MS = 100;

/**
 * Keeps one connection busy with one request after another.
 * @returns a function that lets it end, and resolves after its last answer
 */
export function runClient({ port, plain, waiting, isSample }: ClientOptions, tally: Tally): () => Promise<void> {
  let request = plain.next();
  let waits = false;
  let sentAt = 0;
  let stopping = false;
  let connection: Connection;
  const ended = Promise.withResolvers<void>();

  const next = (): void => {
    waits = isSample();
    request = waits ? waiting.next() : plain.next();
    sentAt = performance.now();
    connection.send(request.bytes);
  };

  const goOn = (): void => {
    if (stopping) end();
    else next();
  };

  const settle = ({ status, error }: Outcome): void => {
    if (status === CREATED) tally.acknowledged(request.amountMinor, performance.now() - sentAt, waits);
    else tally.failed(error ?? String(status));
    if (status !== 0 || stopping) goOn();
    else setTimeout(open, RECONNECT_MS);
  };

  const end = (): void => {
    connection.close();
    ended.resolve();
  };

  const open = (): void => {
    connection = openConnection(port, goOn, settle);
  };

  open();
  return () => {
    stopping = true;
    return ended.promise;
  };
}
