import type { RecordedEvent } from '#kernel/core/event.ts';
import type { RowProjection, SumProjection } from '#kernel/core/projection.ts';
import type { Row } from '#kernel/core/table.ts';
import type { RowWrites, SumWrites } from '#kernel/event-store/store.ts';

/** The rows that a projection makes of events, each as the last event left it. */
export function rowsOf<R extends Row>(projection: RowProjection<R>, events: readonly RecordedEvent[]): RowWrites {
  const rows = new Map<string, R>();
  for (const event of events) {
    const key = projection.events.includes(event.type) ? projection.key(event)?.join() : undefined;
    if (key === undefined) continue;
    rows.set(key, projection.evolve(projection.startsRow(event) ? undefined : rows.get(key), event));
  }
  return { table: projection.table, rows: [...rows.values()] };
}

/** What a projection adds for one event. */
export function sumsOf(projection: SumProjection, event: RecordedEvent): SumWrites {
  return { table: projection.table, rows: projection.increments(event).map(({ key, add }) => ({ ...key, ...add })) };
}
