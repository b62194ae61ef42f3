import { LRUCache } from 'lru-cache';
import type { Tail } from '../bus/tail.ts';
import type { Clock } from '../core/clock.ts';
import type { RecordedEvent } from '../core/event.ts';
import type { RowProjection } from '../core/projection.ts';
import type { Lookup } from '../postgres/lookup.ts';

/** Times in milliseconds. */
export interface RowCacheSettings<Row extends VersionedRow> {
  /** For people and metrics. */
  readonly name: string;
  /** The read model: one row for each stream of this type, under its id, written in the transaction of its events. */
  readonly aggregateType: string;
  readonly projection: RowProjection<Row>;
  readonly maxRows: number;
  /** How long a row is kept at first. One that is asked for often is kept twice as long each time, up to `maxTtlMs`. */
  readonly ttlMs: number;
  readonly maxTtlMs: number;
  /** How long it is kept that there is no row. */
  readonly missingTtlMs: number;
}

/** A row that says how far its stream had come. */
export interface VersionedRow extends Readonly<Record<string, unknown>> {
  readonly version: number;
}

/** What a cache tells of each look-up. `bypass`: other processes write, so it was not asked. */
export type CacheResult = 'hit' | 'miss' | 'bypass';

interface Ports<Row> {
  readonly tail: Tail;
  readonly lookup: Lookup<Row>;
  readonly clock: Clock;
  /** As `performance.now()`. */
  monotonic(): number;
  observe(cache: string, result: CacheResult): void;
}

/** Rows by id. */
export interface RowSource<Row> {
  get(id: string): Promise<Row | undefined>;
}

interface Entry<Row> {
  row: Row | undefined;
  /** Where its stream stood, as far as is known. */
  position: number;
  readonly ttlMs: number;
  readonly expiresAt: number;
  hits: number;
}

/** So many hits within its time make a row one that is asked for often. */
const OFTEN = 8;

/**
 * Rows of a read model in memory, never older than what was acknowledged: while this process is surely the only one that writes
 * (`tail.alone`, until `tail.aloneUntil`), it hears of each change before whoever asked for it does. Else every look-up goes to the
 * database. A row that is here is changed with its events, as the one in the table is, and need not be looked up again.
 *
 * Many who ask for a row that is not here wait for one look-up. One that began before a change is answered to those who asked before
 * it, and not kept.
 */
export function createRowCache<Row extends VersionedRow>(
  settings: RowCacheSettings<Row>,
  ports: Ports<Row>,
): RowSource<Row> {
  const { name, aggregateType, projection, ttlMs, maxTtlMs, missingTtlMs } = settings;
  const { tail, lookup, clock, monotonic, observe } = ports;
  const entries = new LRUCache<string, Entry<Row>>({ max: settings.maxRows });
  const underWay = new Map<string, Promise<Row | undefined>>();
  let generation = tail.generation;

  tail.subscribe(({ events }) => {
    for (const event of events) {
      if (event.aggregateType !== aggregateType) continue;
      underWay.delete(event.aggregateId);
      const entry = entries.peek(event.aggregateId);
      if (entry !== undefined && !follow(entry, event)) entries.delete(event.aggregateId);
    }
  });

  /** @returns false when it is not known what the row is after the event */
  const follow = (entry: Entry<Row>, event: RecordedEvent): boolean => {
    const { row, position } = entry;
    if (row === undefined) return false;
    // It was looked up after the commit of the event, before that was told.
    if (position >= event.streamPosition) return true;
    if (position !== event.streamPosition - 1) return false;
    if (projection.events.includes(event.type)) entry.row = projection.evolve(row, event);
    entry.position = event.streamPosition;
    return true;
  };

  const find = async (id: string): Promise<Row | undefined> => (await lookup([id])).get(id);

  const load = (id: string, before: Entry<Row> | undefined): Promise<Row | undefined> => {
    const loading = find(id).then(
      (row) => {
        // Neither changed since, nor by others.
        if (underWay.get(id) === loading) {
          underWay.delete(id);
          if (generation === tail.generation) entries.set(id, entryOf(row, before));
        }
        return row;
      },
      (cause) => {
        if (underWay.get(id) === loading) underWay.delete(id);
        throw cause;
      },
    );
    underWay.set(id, loading);
    return loading;
  };

  const entryOf = (row: Row | undefined, before: Entry<Row> | undefined): Entry<Row> => {
    const kept = before?.row !== undefined && before.hits >= OFTEN ? Math.min(before.ttlMs * 2, maxTtlMs) : ttlMs;
    const time = row === undefined ? missingTtlMs : kept;
    return { row, position: row?.version ?? 0, ttlMs: time, expiresAt: clock.now() + time, hits: 0 };
  };

  /** Others have written since the last look-up: nothing that is known from before counts. */
  const forget = (): void => {
    generation = tail.generation;
    entries.clear();
    underWay.clear();
  };

  return {
    get: async (id) => {
      if (generation !== tail.generation) forget();
      if (!tail.alone || monotonic() >= tail.aloneUntil) {
        observe(name, 'bypass');
        return find(id);
      }
      const entry = entries.get(id);
      if (entry !== undefined && clock.now() < entry.expiresAt) {
        entry.hits += 1;
        observe(name, 'hit');
        return entry.row;
      }
      observe(name, 'miss');
      return underWay.get(id) ?? load(id, entry);
    },
  };
}
