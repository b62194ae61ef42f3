import { createHistogram, percentilesOf } from './histogram.ts';
import type { LoadReport } from './protocol.ts';

/** What came of the requests of a load. */
export interface Tally {
  /** @param waited true when the answer was the payment's final status */
  acknowledged(amountMinor: number, ms: number, waited: boolean): void;
  failed(kind: string): void;
  /** Forgets the durations so far, and counts the load's own work from here. */
  measure(): void;
  /** Durations and own work since `measure`, counts as of now. */
  durations(): Pick<LoadReport, 'post' | 'completion' | 'completionSamples' | 'answered' | 'cpuUsPerRequest'>;
  counts(): Pick<LoadReport, 'acknowledged' | 'acknowledgedMinor' | 'errors' | 'errorKinds'>;
}

export function createTally(): Tally {
  let post = createHistogram();
  let completion = createHistogram();
  let acknowledged = 0;
  let acknowledgedMinor = 0;
  let errors = 0;
  const errorKinds: Record<string, number> = {};
  let usedBefore = process.cpuUsage();

  return {
    acknowledged: (amountMinor, ms, waited) => {
      acknowledged += 1;
      acknowledgedMinor += amountMinor;
      (waited ? completion : post).record(ms);
    },
    failed: (kind) => {
      errors += 1;
      errorKinds[kind] = (errorKinds[kind] ?? 0) + 1;
    },
    measure: () => {
      post = createHistogram();
      completion = createHistogram();
      usedBefore = process.cpuUsage();
    },
    durations: () => {
      const { user, system } = process.cpuUsage(usedBefore);
      const answered = post.count + completion.count;
      return {
        post: percentilesOf(post),
        completion: percentilesOf(completion),
        completionSamples: completion.count,
        answered,
        cpuUsPerRequest: Math.round(((user + system) / Math.max(1, answered)) * 10) / 10,
      };
    },
    counts: () => ({ acknowledged, acknowledgedMinor, errors, errorKinds }),
  };
}
