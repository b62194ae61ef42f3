import type { API, Connection } from '@platformatic/kafka';

type Send = Connection['send'];

/**
 * A request of the client's, sent in another way: its bytes, or how the answer to it is read, can be ours, while all else stays the
 * client's, from the broker to ask to what to do when it refuses.
 * @param sendBy how requests to a connection are sent, with the arguments that the client gave
 */
export function sentBy<Arguments extends unknown[], Response>(
  api: API<Arguments, Response>,
  sendBy: (connection: Connection, args: readonly unknown[]) => Send,
): API<Arguments, Response> {
  const theirs = api as unknown as (connection: Pick<Connection, 'send'>, ...args: unknown[]) => void;
  const call = (connection: Connection, ...args: unknown[]) => theirs({ send: sendBy(connection, args) }, ...args);
  const { key, version } = api;
  return Object.assign(call, { key, version }) as unknown as API<Arguments, Response>;
}
