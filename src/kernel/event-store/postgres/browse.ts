import type { RecordedEvent } from '../../core/event.ts';
import { uuidTime } from '../../core/ids.ts';
import type { LogPosition } from '../../core/log-position.ts';
import { encodeArray } from '../../postgres/arrays.ts';
import type { Sql } from '../../postgres/sql.ts';
import { EVENT_COLUMNS, type EventRow, readHead, STORED_COLUMNS, type StoredRow, toEvent } from './read.ts';

/** An event is stored moments after its id was made; clocks that differ, or a long retry, make it up to a day. */
const SEARCH_WITHIN_MS = [10_000, 86_400_000];

/** An event and when it was stored, milliseconds since 1970. */
export interface StoredEvent {
  readonly event: RecordedEvent;
  readonly storedAt: number;
}

/**
 * The event with this id (a UUIDv7). There is no index of ids: the time in the id leads to the blocks of about that
 * time, by the BRIN index on created_at.
 * @returns undefined when there is none, or the id is of another version and so has no time
 */
export async function findEvent(sql: Sql, id: string): Promise<StoredEvent | undefined> {
  const made = uuidTime(id);
  if (made === undefined) return undefined;
  for (const within of SEARCH_WITHIN_MS) {
    const rows = await sql.query<StoredRow>(
      `SELECT ${STORED_COLUMNS} FROM events e WHERE e.created_at BETWEEN $2 AND $3 AND e.event_id = $1`,
      [id, new Date(made - within), new Date(made + within)],
    );
    if (rows[0] !== undefined) return { event: toEvent(rows[0]), storedAt: rows[0].created_at };
  }
  return undefined;
}

/** The event at a position of a chain; undefined when there is none. */
export async function findEventAt(
  sql: Sql,
  { chain, position }: { readonly chain: number; readonly position: number },
): Promise<StoredEvent | undefined> {
  const [row] = await sql.query<StoredRow>(
    `SELECT ${STORED_COLUMNS} FROM events e WHERE e.chain = $1 AND e.chain_position = $2`,
    [chain, position],
  );
  return row && { event: toEvent(row), storedAt: row.created_at };
}

/** The last events of the log, the latest last; each chain is read from its end. */
export async function lastEvents(
  sql: Sql,
  options: { readonly upTo: LogPosition; readonly type?: string; readonly limit: number },
): Promise<readonly RecordedEvent[]> {
  const rows = await sql.query<EventRow>(
    `SELECT * FROM (SELECT p.* FROM unnest($1::int[], $2::bigint[]) AS c(chain, head) CROSS JOIN LATERAL (
        SELECT ${EVENT_COLUMNS} FROM events e WHERE e.chain = c.chain AND e.chain_position <= c.head
          AND ($3::text IS NULL OR e.event_type = $3) ORDER BY e.chain_position DESC LIMIT $4) p
      ORDER BY p.sequence_number DESC LIMIT $4) latest ORDER BY sequence_number`,
    [
      encodeArray('integer', Object.keys(options.upTo).map(Number)),
      encodeArray('bigint', Object.values(options.upTo)),
      options.type ?? null,
      options.limit,
    ],
  );
  return rows.map(toEvent);
}

/**
 * Where a reader has to start to see the events from a global sequence number on. Within a chain the numbers rise with
 * the positions, so each chain is searched by halves.
 */
export async function positionBefore(sql: Sql, sequence: number): Promise<LogPosition> {
  const head = await readHead(sql);
  const found: Record<number, number> = {};
  for (const [chain, end] of Object.entries(head))
    found[Number(chain)] = await lastBelow(sql, Number(chain), end, sequence);
  return found;
}

async function lastBelow(sql: Sql, chain: number, end: number, sequence: number): Promise<number> {
  let below = 0;
  let above = end + 1;
  while (above - below > 1) {
    const middle = Math.floor((below + above) / 2);
    const rows = await sql.query<{ sequence_number: number }>(
      'SELECT sequence_number FROM events WHERE chain = $1 AND chain_position >= $2 ORDER BY chain_position LIMIT 1',
      [chain, middle],
    );
    const here = rows[0]?.sequence_number;
    if (here !== undefined && here < sequence) below = middle;
    else above = middle;
  }
  return below;
}
