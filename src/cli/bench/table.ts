import type { Percentiles } from '../../../bench/load/histogram.ts';
import { printTable } from '../output.ts';

/** Prints durations in milliseconds, by what they are of. */
export function printDurations(durations: Readonly<Record<string, Percentiles>>): void {
  printTable(
    Object.entries(durations),
    [
      { title: 'MILLISECONDS', value: ([what]) => what },
      { title: 'P50', value: ([, { p50 }]) => p50, align: 'right' },
      { title: 'P95', value: ([, { p95 }]) => p95, align: 'right' },
      { title: 'P99', value: ([, { p99 }]) => p99, align: 'right' },
    ],
    '',
  );
}
