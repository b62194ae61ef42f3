/** How the waits between attempts grow. */
export interface RetryPolicy {
  /** The first wait, milliseconds. */
  readonly initialMs: number;
  readonly multiplier: number;
  /** No wait is longer, milliseconds. */
  readonly maxMs: number;
  /** Share of a wait, 0 to 1, that is left to chance, so that what failed together does not come back together. */
  readonly jitter: number;
}

/** 2, 4, 8, 16, 30, 30… seconds. */
export const DEFAULT_RETRY: RetryPolicy = { initialMs: 2_000, multiplier: 2, maxMs: 30_000, jitter: 0.2 };

/**
 * How long to wait before a retry: `initialMs * multiplier^(retry - 1)`, spread evenly over ± half of the jitter's share,
 * at most `maxMs`.
 * @param retry 0: the first attempt, at once; 1: the first retry…
 * @param random a number from 0 up to 1
 * @returns whole milliseconds
 */
export function retryDelayMs(policy: RetryPolicy, retry: number, random: number): number {
  if (retry <= 0) return 0;
  const wait = policy.initialMs * policy.multiplier ** (retry - 1);
  const spread = 1 - policy.jitter / 2 + policy.jitter * random;
  return Math.round(Math.min(wait * spread, policy.maxMs));
}
