/** Upper bounds of the classes, milliseconds; the last class has none. */
const BOUNDS = [1, 2, 5, 10, 20, 50, 100, 200, 300, 500, 750, 1000, 2000, 5000, 10_000, 30_000];

export interface Percentiles {
  readonly count: number;
  /** Milliseconds, rounded up to the bound of a class. */
  readonly p95: number;
  readonly p99: number;
}

/** Latencies since they were last looked at, in classes: constant memory and a few nanoseconds per entry. */
export interface LatencyWindow {
  observe(ms: number): void;
  /** The percentiles since the last call. */
  take(): Percentiles;
}

export function createLatencyWindow(): LatencyWindow {
  let counts = new Uint32Array(BOUNDS.length + 1);
  return {
    observe: (ms) => {
      let i = 0;
      while (i < BOUNDS.length && ms > BOUNDS[i]!) i++;
      counts[i]! += 1;
    },
    take: () => {
      const taken = counts;
      counts = new Uint32Array(BOUNDS.length + 1);
      const count = taken.reduce((sum, n) => sum + n, 0);
      return { count, p95: percentile(taken, count * 0.95), p99: percentile(taken, count * 0.99) };
    },
  };
}

function percentile(counts: Uint32Array, rank: number): number {
  let seen = 0;
  for (let i = 0; i < counts.length; i++) {
    seen += counts[i]!;
    if (seen > 0 && seen >= rank) return BOUNDS[i] ?? Number.POSITIVE_INFINITY;
  }
  return 0;
}
