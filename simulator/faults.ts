import { type Checked, type FieldError, invalid } from './http.ts';

/** What is wrong with the gateway right now; it touches the calls under /v1 only. */
export interface Faults {
  /** Share of calls, 0 to 1, that are answered 500 and not carried out. */
  readonly error_rate: number;
  /** Share of calls, 0 to 1, whose connection is cut: half before they are carried out, half after. */
  readonly drop_rate: number;
  /** Added before each call is carried out, in milliseconds. */
  readonly latency_ms: number;
  /** `true`: every call is answered 503; `"drop"`: every connection is cut. Nothing is carried out. */
  readonly outage: boolean | 'drop';
  /** Start of the random numbers that choose the calls: the same seed chooses the same ones again. */
  readonly seed: number;
}

/** What happens to one call. */
export type Fate = 'none' | 'error' | 'unavailable' | 'drop_before' | 'drop_after';

export interface FaultControl {
  current(): Faults;
  /** Sets the faults that the body names and leaves the others; refuses a body with any wrong field, changing nothing. */
  change(body: unknown): Checked<Faults>;
  clear(): Faults;
  /** Decides the fate of the next call. */
  draw(): Fate;
}

const MAX_LATENCY_MS = 600_000;
const MAX_SEED = 2 ** 32 - 1;

const isRate = (value: unknown): boolean => typeof value === 'number' && value >= 0 && value <= 1;
const isWhole = (value: unknown, max: number): boolean =>
  Number.isInteger(value) && Number(value) >= 0 && Number(value) <= max;

const CHECKS: Readonly<Record<string, readonly [valid: (value: unknown) => boolean, message: string]>> = {
  error_rate: [isRate, 'must be a number from 0 to 1'],
  drop_rate: [isRate, 'must be a number from 0 to 1'],
  latency_ms: [(value) => isWhole(value, MAX_LATENCY_MS), `must be a whole number from 0 to ${MAX_LATENCY_MS}`],
  outage: [(value) => typeof value === 'boolean' || value === 'drop', 'must be true, false or "drop"'],
  seed: [(value) => isWhole(value, MAX_SEED), `must be a whole number from 0 to ${MAX_SEED}`],
};

/** @param firstSeed used until a seed is set */
export function createFaults(firstSeed: number): FaultControl {
  const none: Faults = { error_rate: 0, drop_rate: 0, latency_ms: 0, outage: false, seed: firstSeed };
  let faults = none;
  let random = randomNumbers(firstSeed);

  function change(body: unknown): Checked<Faults> {
    const errors = wrongFields(body);
    if (errors.length > 0) return invalid(errors);
    const changes = body as Partial<Faults>;
    faults = { ...faults, ...changes };
    if (changes.seed !== undefined) random = randomNumbers(changes.seed);
    return { ok: true, value: faults };
  }

  function draw(): Fate {
    if (faults.outage !== false) return faults.outage === 'drop' ? 'drop_before' : 'unavailable';
    if (faults.error_rate === 0 && faults.drop_rate === 0) return 'none';
    // Always three numbers, so that changing one rate does not shift which calls the other one chooses.
    const [error, drop, half] = [random(), random(), random()];
    if (error < faults.error_rate) return 'error';
    if (drop < faults.drop_rate) return half < 0.5 ? 'drop_before' : 'drop_after';
    return 'none';
  }

  function clear(): Faults {
    faults = { ...none, seed: faults.seed };
    return faults;
  }

  return { current: () => faults, change, clear, draw };
}

function wrongFields(body: unknown): FieldError[] {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    return [{ field: 'body', message: 'must be a JSON object' }];
  }
  return Object.entries(body).flatMap(([field, value]) => {
    const check = Object.hasOwn(CHECKS, field) ? CHECKS[field] : undefined;
    if (check === undefined) return [{ field, message: 'is not a fault' }];
    const [valid, message] = check;
    return valid(value) ? [] : [{ field, message }];
  });
}

/** Numbers from 0 up to 1, the same ones for the same seed: Mulberry32 by Tommy Ettinger, public domain. */
function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
