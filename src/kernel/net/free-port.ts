import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Below the range that systems give to outgoing connections: whoever listens only a moment later, or listens again after a stop,
 * would else sooner or later find the port taken by a client's end of a connection.
 */
export const FREE_RANGE = [15_000, 32_000] as const;
const ATTEMPTS = 100;

/**
 * A port on which nobody listens now.
 * @throws Error when none was found
 */
export async function freePort(host: string): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = randomInt(...FREE_RANGE);
    if (await isFree(port, host)) return port;
  }
  throw new Error(`there is no free port on ${host} from ${FREE_RANGE[0]} to ${FREE_RANGE[1]}`);
}

/** Whether nobody listens on the port now. */
export function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.on('error', () => resolve(false));
    probe.listen({ port, host }, () => probe.close(() => resolve(true)));
  });
}
