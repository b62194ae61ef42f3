/** Counts of durations by size, exact to 1 % from 1 µs to 70 minutes, in fixed memory. Not for negative values. */
export interface Histogram {
  record(ms: number): void;
  readonly count: number;
  /** The duration, milliseconds, that the share `q` (0 to 1) of all does not exceed; 0 when there are none. */
  quantile(q: number): number;
}

/** Each power of two is divided into so many steps: 1 / 128 < 1 %. */
const STEPS = 128;
const POWERS = 25;

/**
 * Log-linear buckets of microseconds, as in HdrHistogram (G. Tene, hdrhistogram.org): below 128 µs one bucket per
 * microsecond, above 128 buckets per power of two.
 */
export function createHistogram(): Histogram {
  const counts = new Float64Array(STEPS * (POWERS + 1));
  let count = 0;
  return {
    record: (ms) => {
      counts[bucketOf(Math.round(ms * 1000))]! += 1;
      count += 1;
    },
    get count() {
      return count;
    },
    quantile: (q) => {
      const wanted = Math.max(1, Math.ceil(q * count));
      let seen = 0;
      for (let bucket = 0; bucket < counts.length; bucket++) {
        seen += counts[bucket]!;
        if (seen >= wanted) return upperEdge(bucket) / 1000;
      }
      return 0;
    },
  };
}

function bucketOf(us: number): number {
  if (us < STEPS) return us;
  const power = Math.min(POWERS, 31 - Math.clz32(us) - Math.log2(STEPS) + 1);
  const step = Math.min(STEPS * 2 - 1, us >>> (power - 1));
  return power * STEPS + step - STEPS;
}

/** The largest whole number of microseconds that the bucket counts. */
function upperEdge(bucket: number): number {
  if (bucket < STEPS) return bucket;
  const power = Math.floor(bucket / STEPS);
  return ((bucket % STEPS) + STEPS + 1) * 2 ** (power - 1) - 1;
}

/** The quantiles that are reported, milliseconds. */
export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** To the hundredth of a millisecond. */
export function percentilesOf(histogram: Histogram): Percentiles {
  const at = (q: number): number => Math.round(histogram.quantile(q) * 100) / 100;
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}
