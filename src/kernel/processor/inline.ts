import { LRUCache } from 'lru-cache';
import type { RecordedEvent } from '../core/event.ts';
import type { Projection, RowProjection, SumProjection } from '../core/projection.ts';
import type { Row } from '../core/table.ts';
import type { RowWrites, Store, SumWrites } from '../event-store/store.ts';

/** A row as the last event of a stream left it. It is the present one as long as the stream is at that position. */
interface CachedRow {
  readonly row: Row;
  readonly stream: string;
  readonly position: number;
}

interface Touched {
  readonly key: readonly (string | number)[];
  readonly events: RecordedEvent[];
}

/** What the events of one batch write. */
export interface InlineWrites {
  readonly rows: readonly RowWrites[];
  readonly sums: readonly SumWrites[];
  /** To be called once it is committed. */
  committed(): void;
}

/** The read models that are written in the transaction of the batch. */
export interface InlineProjections {
  /**
   * Row and sum writes for the events of one batch, in order.
   * @param ahead true when the batch before this one is not committed yet: its rows are what this one goes on from
   */
  writesFor(events: readonly RecordedEvent[], ahead?: boolean): Promise<InlineWrites>;
  clear(): void;
}

type RowsByName = ReadonlyMap<string, CachedRow>;

/** @param maxRows how many rows of each read model are kept in memory at most */
export function createInlineProjections(
  projections: readonly Projection[],
  store: Pick<Store, 'loadRows'>,
  maxRows: number,
): InlineProjections {
  const rowProjections = projections.filter((projection) => projection.kind === 'rows');
  const sumProjections = projections.filter((projection) => projection.kind === 'sums');
  const caches = new Map(rowProjections.map((p) => [p, new LRUCache<string, CachedRow>({ max: maxRows })]));
  /** What batches write that are not committed yet, the latest last. */
  let uncommitted: Map<RowProjection, RowsByName>[] = [];

  /** A row of a batch that is not committed yet is the latest whatever its position: the store does not have it. */
  const find = (projection: RowProjection, name: string, first: RecordedEvent): Row | undefined => {
    const ahead = uncommitted
      .findLast((rows) => rows.get(projection)?.has(name))
      ?.get(projection)
      ?.get(name);
    if (ahead !== undefined) return ahead.row;
    const kept = caches.get(projection)!.get(name);
    return kept?.stream === streamOf(first) && kept.position === first.streamPosition - 1 ? kept.row : undefined;
  };

  const fold = async (projection: RowProjection, events: readonly RecordedEvent[]): Promise<RowsByName> => {
    const touched = groupByKey(projection, events);
    const found = await presentRows(projection, touched, (name, first) => find(projection, name, first), store);
    const rows = new Map<string, CachedRow>();
    for (const [name, { events: own }] of touched) {
      let row = found.get(name);
      for (const event of own) row = projection.evolve(row, event);
      const last = own.at(-1)!;
      rows.set(name, { row: row!, stream: streamOf(last), position: last.streamPosition });
    }
    return rows;
  };

  const keep = (batch: ReadonlyMap<RowProjection, RowsByName>): void => {
    for (const [projection, rows] of batch) {
      const cache = caches.get(projection)!;
      for (const [name, entry] of rows) {
        if (projection.settled?.(entry.row)) cache.delete(name);
        else cache.set(name, entry);
      }
    }
  };

  return {
    writesFor: async (events, ahead = false) => {
      if (!ahead) uncommitted = [];
      const batch = new Map<RowProjection, RowsByName>();
      for (const projection of rowProjections) {
        const own = events.filter((event) => projection.events.includes(event.type));
        if (own.length > 0) batch.set(projection, await fold(projection, own));
      }
      uncommitted.push(batch);
      const rows = [...batch].map(([{ table }, byName]) => ({
        table,
        rows: Array.from(byName.values(), (entry) => entry.row),
      }));
      return {
        rows,
        sums: sumProjections.map((projection) => sumWrites(projection, events)),
        committed: () => {
          keep(batch);
          uncommitted = uncommitted.filter((other) => other !== batch);
        },
      };
    },
    clear: () => {
      uncommitted = [];
      for (const cache of caches.values()) cache.clear();
    },
  };
}

/** The events of each row, by the row's key as text. */
export function groupByKey(projection: RowProjection, events: readonly RecordedEvent[]): ReadonlyMap<string, Touched> {
  const touched = new Map<string, Touched>();
  for (const event of events) {
    const key = projection.key(event);
    if (key === undefined) continue;
    const name = key.join('\u0000');
    const entry = touched.get(name);
    if (entry === undefined) touched.set(name, { key, events: [event] });
    else entry.events.push(event);
  }
  return touched;
}

async function presentRows(
  projection: RowProjection,
  touched: ReadonlyMap<string, Touched>,
  known: (name: string, first: RecordedEvent) => Row | undefined,
  store: Pick<Store, 'loadRows'>,
): Promise<ReadonlyMap<string, Row>> {
  const found = new Map<string, Row>();
  const missing: (readonly (string | number)[])[] = [];
  for (const [name, { key, events }] of touched) {
    const first = events[0]!;
    if (projection.startsRow(first)) continue;
    const row = known(name, first);
    if (row !== undefined) found.set(name, row);
    else missing.push(key);
  }
  if (missing.length === 0) return found;
  for (const row of await store.loadRows(projection.table, missing)) {
    found.set(projection.table.key.map((column) => row[column]).join('\u0000'), row);
  }
  return found;
}

/** Streams of different types may share an id: a payment and its charge do. */
function streamOf(event: RecordedEvent): string {
  return `${event.aggregateType}/${event.aggregateId}`;
}

function sumWrites(projection: SumProjection, events: readonly RecordedEvent[]): SumWrites {
  const rows = new Map<string, Record<string, unknown>>();
  for (const event of events) {
    if (!projection.events.includes(event.type)) continue;
    for (const { key, add } of projection.increments(event)) {
      const name = Object.values(key).join('\u0000');
      const row = rows.get(name);
      if (row === undefined) rows.set(name, { ...key, ...add });
      else for (const column of Object.keys(add)) row[column] = (row[column] as number) + add[column]!;
    }
  }
  return { table: projection.table, rows: [...rows.values()] };
}
