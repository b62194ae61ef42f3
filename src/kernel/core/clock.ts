/** Where the time comes from. Milliseconds since 1970-01-01T00:00:00Z; a simulator passes its own. */
export interface Clock {
  now(): number;
}

/** A clock that also calls back, so that everything that waits can be run in virtual time. */
export interface Scheduler extends Clock {
  /** Calls once, after `ms` milliseconds. @returns cancels the call */
  after(ms: number, call: () => void): () => void;
  /** Calls every `ms` milliseconds. @returns ends that */
  every(ms: number, call: () => void): () => void;
}

export const systemClock: Scheduler = {
  now: () => Date.now(),
  after: (ms, call) => {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
  every: (ms, call) => {
    const timer = setInterval(call, ms);
    return () => clearInterval(timer);
  },
};

/** Resolves after `ms` milliseconds. */
export function pause(clock: Scheduler, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(ms, resolve);
  });
}
