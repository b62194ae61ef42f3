import type { RecordedEvent } from '../../core/event.ts';
import { type LogPosition, positionIn } from '../../core/log-position.ts';
import type { Row, TableDefinition } from '../../core/table.ts';
import { toLogPage } from '../log-page.ts';
import type { LoadedStream, LogPage, Snapshot, StoredAnswer, StreamLoad, StreamRef } from '../store.ts';
import { monthOf, streamName } from '../store.ts';
import { compositeKey, type MemoryTables, type StoredEvent } from './tables.ts';

function toEvent({ event }: StoredEvent): RecordedEvent {
  return event;
}

/** The events after a position, or snapshot and tail. The snapshot counts only when the event that it was taken at is in the log. */
export function loadStream(tables: MemoryTables, stream: StreamLoad): LoadedStream {
  const events = tables.streams.get(streamName(stream)) ?? [];
  if (stream.after !== undefined) return { stream, ...tailOf(events, stream.after.position) };
  const text = tables.snapshots.get(streamName(stream));
  const found: Snapshot | undefined = text === undefined ? undefined : JSON.parse(text);
  const usable = found?.stateVersion === stream.stateVersion && found.position <= events.length ? found : undefined;
  const last = events.at(-1);
  return {
    stream,
    ...tailOf(events, usable?.position ?? 0),
    ...(usable !== undefined && { snapshot: usable }),
    ...(last !== undefined && { lastMonth: monthOf(last.storedAt) }),
  };
}

function tailOf(events: readonly StoredEvent[], position: number): Pick<LoadedStream, 'events' | 'lastMonth'> {
  const tail = events.slice(position);
  const last = tail.at(-1);
  return { events: tail.map(toEvent), ...(last !== undefined && { lastMonth: monthOf(last.storedAt) }) };
}

/** A page of one stream. */
export function readStream(
  tables: MemoryTables,
  stream: StreamRef,
  options: { readonly from?: number; readonly limit: number; readonly backwards?: boolean },
): readonly RecordedEvent[] {
  const events = tables.streams.get(streamName(stream)) ?? [];
  if (options.backwards) {
    const end = Math.min(options.from ?? events.length, events.length);
    const start = Math.max(0, end - options.limit);
    return events.slice(start, end).reverse().map(toEvent);
  }
  const start = Math.max(0, (options.from ?? 1) - 1);
  return events.slice(start, start + options.limit).map(toEvent);
}

/** A page of the log, in the order of sequence numbers. */
export function readLog(
  tables: MemoryTables,
  after: LogPosition,
  { types, limit }: { readonly types?: readonly string[]; readonly limit: number },
): LogPage {
  const found: StoredEvent[] = [];
  for (const [number, chain] of tables.chains) {
    const from = positionIn(after, number);
    if (from < chain.events.length) found.push(...matching(chain.events, from, types, limit));
  }
  const events = found.map(toEvent).sort((a, b) => a.sequence! - b.sequence!);
  const heads = new Map([...tables.chains].map(([number, chain]) => [number, chain.end.position]));
  return toLogPage(events, heads, after, limit);
}

function matching(
  events: readonly StoredEvent[],
  after: number,
  types: readonly string[] | undefined,
  limit: number,
): readonly StoredEvent[] {
  const found: StoredEvent[] = [];
  for (let i = after; i < events.length && found.length < limit; i++) {
    if (types === undefined || types.includes(events[i]!.event.type)) found.push(events[i]!);
  }
  return found;
}

/** The stored answers in force among the keys. */
export function findAnswers(
  tables: MemoryTables,
  keys: readonly { readonly scope: string; readonly key: string }[],
  now: number,
): readonly StoredAnswer[] {
  return keys
    .map(({ scope, key }) => tables.answers.get(compositeKey(scope, key)))
    .filter((text) => text !== undefined)
    .map((text): StoredAnswer => JSON.parse(text))
    .filter((answer) => answer.expiresAt >= now);
}

/** Rows of a read model by key. */
export function loadRows(
  tables: MemoryTables,
  table: TableDefinition,
  keys: readonly (readonly (string | number)[])[],
): readonly Row[] {
  const rows = tables.rows.get(table.name);
  return keys
    .map((key) => rows?.get(compositeKey(...key)))
    .filter((text) => text !== undefined)
    .map((text): Row => JSON.parse(text));
}
