/** Where the time comes from. Milliseconds since 1970-01-01T00:00:00Z; a simulator passes its own. */
export interface Clock {
  now(): number;
}

export const systemClock: Clock = { now: () => Date.now() };
