import type { Clock } from '#kernel/core/clock.ts';

/** Shares out so many permits per second; what was not used within a second is lost. */
export interface RateLimit {
  /** Takes up to `wanted` permits: as many as there are now. */
  take(wanted: number): number;
  /** Gives back what was taken and not used. */
  giveBack(unused: number): void;
}

export function createRateLimit(perSecond: number, clock: Clock): RateLimit {
  let permits = perSecond;
  let countedAt = clock.now();
  return {
    take: (wanted) => {
      const now = clock.now();
      permits = Math.min(perSecond, permits + ((now - countedAt) / 1000) * perSecond);
      countedAt = now;
      const taken = Math.max(0, Math.min(wanted, Math.floor(permits)));
      permits -= taken;
      return taken;
    },
    giveBack: (unused) => {
      permits = Math.min(perSecond, permits + unused);
    },
  };
}
