import type { Recoveries } from './campaign.ts';

/** A table for people: how often each disaster struck, and how long it took until payments were accepted again. */
export function recoveryTable(recoveries: Recoveries): string {
  const rows = [...recoveries].map(([name, times]) => {
    const sorted = times.toSorted((a, b) => a - b);
    return [times.length, sorted[Math.floor(sorted.length / 2)]!, sorted.at(-1)!, name] as const;
  });
  const lines = rows
    .toSorted((a, b) => b[2] - a[2])
    .map(([count, median, worst, name]) => row(count, median, worst, name));
  return [
    'Milliseconds from the mending until a payment sent then was accepted:',
    row('times', 'median', 'worst', ''),
    ...lines,
  ].join('\n');
}

function row(count: number | string, median: number | string, worst: number | string, name: string): string {
  return `${String(count).padStart(6)}${String(median).padStart(9)}${String(worst).padStart(9)}  ${name}`.trimEnd();
}
