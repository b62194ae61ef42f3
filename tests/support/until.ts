import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 10;
const LIMIT_MS = 60_000;

/** Waits until `holds` is true. The limit, in milliseconds of waiting, only ends a test that hangs. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  limitMs: number = LIMIT_MS,
): Promise<void> {
  for (let waited = 0; !(await holds()); waited += POLL_MS) {
    if (waited > limitMs) throw new Error(`it never came to be: ${what}`);
    await sleep(POLL_MS);
  }
}
