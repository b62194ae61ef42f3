import type { EventMetadata, RecordedEvent } from '../../core/event.ts';
import { type LogPosition, positionIn } from '../../core/log-position.ts';
import type { Row, TableDefinition } from '../../core/table.ts';
import { encodeArray } from '../../postgres/arrays.ts';
import type { Sql } from '../../postgres/sql.ts';
import { toLogPage } from '../log-page.ts';
import type { LoadedStream, LogPage, LogRead, Snapshot, StoredAnswer, StreamLoad, StreamRef } from '../store.ts';
import { monthOf } from '../store.ts';
import { earliestStorage, monthStart } from './months.ts';

/** An event's row as every read selects it. */
export interface EventRow {
  readonly event_id: string;
  readonly aggregate_id: string;
  readonly aggregate_type: string;
  readonly event_type: string;
  readonly event_version: number;
  readonly event_data: object;
  readonly event_metadata: EventMetadata;
  readonly timestamp: number;
  readonly sequence_number: number;
  readonly stream_position: number;
  readonly chain: number;
  readonly chain_position: number;
}

export const EVENT_COLUMNS = `e.event_id, e.aggregate_id, e.aggregate_type, e.event_type, e.event_version, e.event_data,
  e.event_metadata, e.timestamp, e.sequence_number, e.stream_position, e.chain, e.chain_position`;

/** With when PostgreSQL took it, for those who need that: to parse one more time in each row of the log is seen there. */
export interface StoredRow extends EventRow {
  readonly created_at: number;
}

export const STORED_COLUMNS = `${EVENT_COLUMNS}, e.created_at`;

/** A row as the event it holds. */
export function toEvent(row: EventRow): RecordedEvent {
  return {
    id: row.event_id,
    type: row.event_type,
    version: row.event_version,
    aggregateType: row.aggregate_type,
    aggregateId: row.aggregate_id,
    streamPosition: row.stream_position,
    chain: row.chain,
    chainPosition: row.chain_position,
    sequence: row.sequence_number,
    time: row.timestamp,
    data: row.event_data,
    metadata: row.event_metadata,
  };
}

/**
 * Snapshots and tails of many streams in two statements. A snapshot counts only when the event that it was taken at is in
 * the log; else the stream is loaded whole.
 */
export async function loadStreams(sql: Sql, streams: readonly StreamLoad[]): Promise<readonly LoadedStream[]> {
  const snapshots = await findSnapshots(sql, streams);
  const tails = await findTails(sql, streams, (i) => snapshots[i]?.position ?? (streams[i]!.after?.position ?? 0) + 1);
  const doubtful = streams.flatMap((_, i) =>
    snapshots[i] !== undefined && tails[i]![0]?.stream_position !== snapshots[i].position ? [i] : [],
  );
  if (doubtful.length > 0) {
    const whole = await findTails(sql, pick(streams, doubtful), () => 1);
    for (const [n, i] of doubtful.entries()) {
      snapshots[i] = undefined;
      tails[i] = whole[n]!;
    }
  }
  return streams.map((stream, i) => toLoaded(stream, snapshots[i], tails[i]!));
}

function pick<T>(items: readonly T[], indexes: readonly number[]): readonly T[] {
  return indexes.map((i) => items[i]!);
}

/** @param tail from the event that the snapshot was taken at, where there is one */
function toLoaded(stream: StreamRef, snapshot: Snapshot | undefined, tail: readonly StoredRow[]): LoadedStream {
  const last = tail.at(-1);
  return {
    stream,
    ...(snapshot !== undefined && { snapshot }),
    events: (snapshot === undefined ? tail : tail.slice(1)).map(toEvent),
    ...(last !== undefined && { lastMonth: monthOf(last.created_at) }),
  };
}

/** The events of each stream from a position on. `since` lets PostgreSQL leave out older partitions. */
async function findTails(
  sql: Sql,
  streams: readonly StreamLoad[],
  from: (index: number) => number,
): Promise<StoredRow[][]> {
  const rows = await sql.query<StoredRow & { ord: number }>(
    `SELECT s.ord::int, ${STORED_COLUMNS} FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::timestamptz[])
        WITH ORDINALITY AS s(id, type, position, since, ord)
      CROSS JOIN LATERAL (SELECT * FROM events e WHERE e.aggregate_id = s.id AND e.aggregate_type = s.type
        AND e.stream_position >= s.position AND e.created_at >= s.since) e ORDER BY s.ord, e.stream_position`,
    [
      encodeArray(
        'uuid',
        streams.map((stream) => stream.id),
      ),
      encodeArray(
        'text',
        streams.map((stream) => stream.type),
      ),
      encodeArray(
        'bigint',
        streams.map((_, i) => from(i)),
      ),
      encodeArray(
        'timestamptz',
        streams.map(({ id, after }) => (after?.month === undefined ? earliestStorage(id) : monthStart(after.month))),
      ),
    ],
  );
  const tails: StoredRow[][] = streams.map(() => []);
  for (const row of rows) tails[row.ord - 1]!.push(row);
  return tails;
}

/** Of those that are loaded whole. */
async function findSnapshots(sql: Sql, streams: readonly StreamLoad[]): Promise<(Snapshot | undefined)[]> {
  const found: (Snapshot | undefined)[] = streams.map(() => undefined);
  const whole = streams.flatMap(({ after }, i) => (after === undefined ? [i] : []));
  if (whole.length === 0) return found;
  const wanted = pick(streams, whole);
  const rows = await sql.query<{ ord: number; position: number; state_version: number; state: unknown }>(
    `SELECT s.ord::int, p.position, p.state_version, p.state FROM unnest($1::uuid[], $2::text[], $3::int[])
        WITH ORDINALITY AS s(id, type, version, ord)
      JOIN snapshots p ON p.aggregate_id = s.id AND p.aggregate_type = s.type AND p.state_version = s.version`,
    [
      encodeArray(
        'uuid',
        wanted.map((stream) => stream.id),
      ),
      encodeArray(
        'text',
        wanted.map((stream) => stream.type),
      ),
      encodeArray(
        'integer',
        wanted.map((stream) => stream.stateVersion),
      ),
    ],
  );
  for (const row of rows) {
    const index = whole[row.ord - 1]!;
    const stream = streams[index]!;
    found[index] = { stream, position: row.position, stateVersion: row.state_version, state: row.state };
  }
  return found;
}

/** A page of one stream. */
export async function readStream(
  sql: Sql,
  stream: StreamRef,
  options: { readonly from?: number; readonly limit: number; readonly backwards?: boolean },
): Promise<readonly RecordedEvent[]> {
  const from = options.from ?? (options.backwards ? Number.MAX_SAFE_INTEGER : 1);
  const [compare, order] = options.backwards ? ['<=', 'DESC'] : ['>=', 'ASC'];
  const rows = await sql.query<EventRow>(
    `SELECT ${EVENT_COLUMNS} FROM events e WHERE e.aggregate_id = $1 AND e.aggregate_type = $2 AND e.stream_position ${compare} $3
      ORDER BY e.stream_position ${order} LIMIT $4`,
    [stream.id, stream.type, from, options.limit],
  );
  return rows.map(toEvent);
}

/**
 * A page of the log: from each chain what comes after the position, all in one snapshot of the database, in the order of
 * sequence numbers. Within a chain no position is missing below one that is visible, since its transactions follow one
 * another; between chains an event that follows from another has the larger number and cannot be visible before it.
 */
export async function readLog(sql: Sql, after: LogPosition, { types, limit, beyond = [] }: LogRead): Promise<LogPage> {
  const kept = Map.groupBy(beyond, ({ chain }) => chain);
  const chains = [...new Set([...Object.keys(after).map(Number), ...kept.keys()])];
  const rows = await sql.query<EventRow & { head_chain: number; head: number }>(
    `WITH heads AS (SELECT c.chain, c.position, coalesce(a.after, 0) AS after, coalesce(a.room, $5) AS room FROM event_chains c
        LEFT JOIN unnest($1::int[], $2::bigint[], $3::int[]) AS a(chain, after, room) USING (chain))
      SELECT h.chain AS head_chain, h.position AS head, p.* FROM heads h LEFT JOIN LATERAL (
        SELECT ${EVENT_COLUMNS} FROM events e WHERE e.chain = h.chain AND e.chain_position > h.after
          AND e.chain_position <= h.position AND ($4::text[] IS NULL OR e.event_type = ANY($4))
        ORDER BY e.chain_position LIMIT h.room) p ON h.position > h.after
      ORDER BY p.sequence_number NULLS LAST`,
    [
      encodeArray('integer', chains),
      encodeArray(
        'bigint',
        chains.map((chain) => kept.get(chain)?.at(-1)?.chainPosition ?? positionIn(after, chain)),
      ),
      encodeArray(
        'integer',
        chains.map((chain) => limit - (kept.get(chain)?.length ?? 0)),
      ),
      types === undefined ? null : encodeArray('text', types),
      limit,
    ],
  );
  const read = rows.filter((row) => row.event_id !== null).map(toEvent);
  const found = beyond.length === 0 ? read : [...beyond, ...read].sort((a, b) => a.sequence! - b.sequence!);
  return toLogPage(found, new Map(rows.map((row) => [row.head_chain, row.head])), after, limit);
}

/** The end of every chain. */
export async function readHead(sql: Sql): Promise<LogPosition> {
  const rows = await sql.query<{ chain: number; position: number }>('SELECT chain, position FROM event_chains');
  return Object.fromEntries(rows.map((row) => [row.chain, row.position]));
}

/** The stored answers in force among the keys. */
export async function findAnswers(
  sql: Sql,
  keys: readonly { readonly scope: string; readonly key: string }[],
): Promise<readonly StoredAnswer[]> {
  const rows = await sql.query<{
    scope: string;
    key: string;
    request_hash: string;
    answer: unknown;
    expires_at: number;
  }>(
    `SELECT k.scope, k.key, k.request_hash, k.answer, k.expires_at FROM unnest($1::text[], $2::text[]) AS a(scope, key)
      JOIN idempotency_keys k USING (scope, key) WHERE k.expires_at >= now()`,
    [
      encodeArray(
        'text',
        keys.map((key) => key.scope),
      ),
      encodeArray(
        'text',
        keys.map((key) => key.key),
      ),
    ],
  );
  return rows.map((row) => ({
    scope: row.scope,
    key: row.key,
    requestHash: row.request_hash,
    answer: row.answer,
    expiresAt: row.expires_at,
  }));
}

/** Rows of a read model by key. */
export async function loadRows(
  sql: Sql,
  table: TableDefinition,
  keys: readonly (readonly (string | number)[])[],
): Promise<readonly Row[]> {
  const arrays = table.key.map((column, i) => `$${i + 1}::${table.columns[column]}[]`);
  return sql.query<Row>(
    `SELECT t.* FROM unnest(${arrays.join(', ')}) AS k(${table.key.join(', ')}) JOIN ${table.name} t USING (${table.key.join(', ')})`,
    table.key.map((column, i) =>
      encodeArray(
        table.columns[column]!,
        keys.map((key) => key[i]),
      ),
    ),
  );
}
