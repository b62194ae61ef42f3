import type { RecordedEvent } from '#kernel/core/event.ts';
import type { Projection, RowProjection, SumProjection } from '#kernel/core/projection.ts';
import { rowKey } from '#kernel/event-store/memory/commit.ts';
import type { MemoryTables } from '#kernel/event-store/memory/tables.ts';
import { storableRow } from '#kernel/event-store/memory/values.ts';
import type { Finding } from '#src/invariants/finding.ts';

/** Columns that are also written by workers, so that the log alone does not say what must be in them. */
const LEASED: Readonly<Record<string, readonly string[]>> = { 'gateway.operations': ['next_attempt_at', 'state'] };

/** Compares a read model with the fold of its events, once nothing is on its way any more. */
export function checkReadModel(
  projection: Projection,
  events: readonly RecordedEvent[],
  tables: MemoryTables,
): readonly Finding[] {
  const { name } = projection.table;
  const found = tables.rows.get(name) ?? new Map<string, string>();
  const [expected, present] =
    projection.kind === 'rows'
      ? [foldRows(projection, events), new Map([...found].map(([key, text]) => [key, withoutLeases(name, text)]))]
      : [foldSums(projection, events), sumStripes(projection, found)];
  const different = [...new Set([...expected.keys(), ...present.keys()])].filter(
    (key) => expected.get(key) !== present.get(key),
  );
  return different.map((key) => {
    const message = `${name} ${key} is ${present.get(key)}, its events say ${expected.get(key)}`;
    return { invariant: 'read_model', message, subject: key };
  });
}

function withoutLeases(name: string, text: string): string {
  const leased = LEASED[name];
  return leased === undefined
    ? text
    : JSON.stringify({ ...JSON.parse(text), ...Object.fromEntries(leased.map((c) => [c, null])) });
}

function foldRows(projection: RowProjection, events: readonly RecordedEvent[]): ReadonlyMap<string, string> {
  const { table } = projection;
  const rows = new Map<string, any>();
  for (const event of events) {
    const key = projection.events.includes(event.type) ? projection.key(event) : undefined;
    if (key === undefined) continue;
    const name = JSON.stringify(key);
    rows.set(name, projection.evolve(rows.get(name), event));
  }
  return new Map([...rows].map(([key, row]) => [key, withoutLeases(table.name, storableRow(table, row))]));
}

function foldSums(projection: SumProjection, events: readonly RecordedEvent[]): ReadonlyMap<string, string> {
  const sums = new Map<string, Record<string, number>>();
  for (const event of events) {
    if (!projection.events.includes(event.type)) continue;
    for (const { key, add } of projection.increments(event)) addTo(sums, JSON.stringify(Object.values(key)), add);
  }
  return asTexts(sums);
}

function sumStripes(projection: SumProjection, found: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const key = projection.table.key.filter((column) => column !== 'stripe');
  const sums = new Map<string, Record<string, number>>();
  for (const text of found.values()) {
    const row = JSON.parse(text);
    const amounts = Object.keys(row).filter((column) => !projection.table.key.includes(column));
    addTo(sums, rowKey(key, row), Object.fromEntries(amounts.map((column) => [column, row[column]])));
  }
  return asTexts(sums);
}

function addTo(sums: Map<string, Record<string, number>>, key: string, add: Readonly<Record<string, number>>): void {
  const sum = sums.get(key) ?? {};
  for (const [column, amount] of Object.entries(add)) sum[column] = (sum[column] ?? 0) + amount;
  sums.set(key, sum);
}

function asTexts(sums: ReadonlyMap<string, Readonly<Record<string, number>>>): ReadonlyMap<string, string> {
  return new Map([...sums].map(([key, sum]) => [key, JSON.stringify(Object.entries(sum).sort())]));
}
