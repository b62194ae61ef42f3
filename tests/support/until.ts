import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 10;
const LIMIT_MS = 150_000;

/**
 * Waits until `holds` is true.
 * @param limitMs only ends a test that hangs
 * @throws Error that says what was waited for
 */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  limitMs: number = LIMIT_MS,
): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`it did not come to be within ${limitMs} ms: ${what}`);
    await sleep(POLL_MS);
  }
}
