import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 10;
const LIMIT_MS = 60_000;

/** Waits until `holds` is true. The limit only ends a test that hangs. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let waited = 0; !(await holds()); waited += POLL_MS) {
    if (waited > LIMIT_MS) throw new Error(`it never came to be: ${what}`);
    await sleep(POLL_MS);
  }
}
