import { type Connection, type Outcome, openConnection } from './connection.ts';

/** What a client asks, and what becomes of it. */
export interface ClientOptions<Request extends { readonly bytes: Buffer }> {
  readonly port: number;
  next(): Request;
  /** Told of each request; the answer in `outcome` is valid only during the call. */
  settle(request: Request, outcome: Outcome, ms: number): void;
}

const RECONNECT_MS = 100;

/**
 * Keeps one connection busy with one request after another.
 * @returns a function that lets it end, and resolves after its last answer
 */
export function runClient<Request extends { readonly bytes: Buffer }>(
  options: ClientOptions<Request>,
): () => Promise<void> {
  const { port } = options;
  let request = options.next();
  let sentAt = 0;
  let stopping = false;
  let connection: Connection;
  const ended = Promise.withResolvers<void>();

  const goOn = (): void => {
    if (stopping) end();
    else send();
  };

  const send = (): void => {
    request = options.next();
    sentAt = performance.now();
    connection.send(request.bytes);
  };

  const settle = (outcome: Outcome): void => {
    options.settle(request, outcome, performance.now() - sentAt);
    if (outcome.status !== 0 || stopping) goOn();
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
