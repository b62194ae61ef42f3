import type { Clock } from '#kernel/core/clock.ts';

/** A clock that stands still until it is moved. */
export interface ManualClock extends Clock {
  /** Sets it to a moment: milliseconds since 1970, or a text that Date understands. */
  set(moment: number | string): void;
  advance(ms: number): void;
}

/** @param start milliseconds since 1970; default: the present moment */
export function createManualClock(start = Date.now()): ManualClock {
  let now = start;
  return {
    now: () => now,
    set: (moment) => {
      now = new Date(moment).getTime();
    },
    advance: (ms) => {
      now += ms;
    },
  };
}
