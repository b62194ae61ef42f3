/** One value of a metric. */
export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const LINE = /^(\w+)(?:\{(.*)\})? (\S+)$/gm;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** Reads metrics in the text format of Prometheus; lines that are something else are left out. */
export function readSeries(text: string): readonly Series[] {
  return [...text.matchAll(LINE)].map(([, name, labels = '', value]) => ({
    name: name!,
    labels: Object.fromEntries([...labels.matchAll(LABEL)].map(([, label, of]) => [label!, of!])),
    value: Number(value),
  }));
}

/** The sum of all values of these metrics. */
export function sumOf(series: readonly Series[], names: readonly string[]): number {
  return series.filter(({ name }) => names.includes(name)).reduce((total, { value }) => total + value, 0);
}
