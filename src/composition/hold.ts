import type { Clock } from '#kernel/core/clock.ts';

/**
 * Says when deadlines are not to be looked at: while no answer could have come a deadline says nothing, nor does it before those
 * that were kept waiting have had the time to come.
 * @param trouble why no answer can come; undefined while they can
 * @param restMs how long that lasts after the trouble, milliseconds
 */
export function createHold(trouble: () => string | undefined, restMs: number, clock: Clock): () => boolean {
  let heldUntil = 0;
  return () => {
    if (trouble() !== undefined) heldUntil = clock.now() + restMs;
    return clock.now() < heldUntil;
  };
}
