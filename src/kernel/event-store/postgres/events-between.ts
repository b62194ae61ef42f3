import type { RecordedEvent } from '../../core/event.ts';
import { type LogPosition, positionIn } from '../../core/log-position.ts';
import type { Sql } from '../../postgres/sql.ts';
import { EVENT_COLUMNS, type EventRow, toEvent } from './read.ts';

/** A part of the log, and how many of its positions have been passed so far, other types' included. */
export interface LogStretch {
  readonly events: readonly RecordedEvent[];
  readonly passed: number;
}

/** What is read of one chain and not handed on yet. */
interface ChainReader {
  readonly chain: number;
  readonly end: number;
  /** Everything up to here was read. */
  position: number;
  buffer: readonly RecordedEvent[];
  taken: number;
}

const WINDOW = 2000;

/**
 * The events of some types, or of all, after `from` and up to `to`, both included in what is committed, in the order of sequence
 * numbers: each chain is read once, by windows, and the chains are merged. For long ways through the log: `readLog`
 * reads every chain for each page.
 * @param size events in one stretch
 */
export async function* eventsBetween(
  sql: Sql,
  from: LogPosition,
  to: LogPosition,
  types: readonly string[] | undefined,
  size: number,
): AsyncGenerator<LogStretch> {
  const readers = Object.entries(to)
    .map(([key, end]): ChainReader => {
      const chain = Number(key);
      return { chain, end, position: positionIn(from, chain), buffer: [], taken: 0 };
    })
    .filter((reader) => reader.position < reader.end);
  const passed = (): number =>
    readers.reduce((sum, reader) => sum + reader.position - positionIn(from, reader.chain), 0);
  let events: RecordedEvent[] = [];
  for (;;) {
    for (const reader of readers) await refill(sql, reader, types);
    const next = earliest(readers);
    if (next === undefined) break;
    events.push(next.buffer[next.taken++]!);
    if (events.length < size) continue;
    yield { events, passed: passed() };
    events = [];
  }
  yield { events, passed: passed() };
}

/** Reads on until there is an event to hand on, or the chain's end is reached. */
async function refill(sql: Sql, reader: ChainReader, types: readonly string[] | undefined): Promise<void> {
  while (reader.taken === reader.buffer.length && reader.position < reader.end) {
    const until = Math.min(reader.end, reader.position + WINDOW);
    const rows = await sql.query<EventRow>(
      `SELECT ${EVENT_COLUMNS} FROM events e WHERE e.chain = $1 AND e.chain_position > $2 AND e.chain_position <= $3
        AND ($4::text[] IS NULL OR e.event_type = ANY($4)) ORDER BY e.chain_position`,
      [reader.chain, reader.position, until, types ?? null],
    );
    reader.buffer = rows.map(toEvent);
    reader.taken = 0;
    reader.position = until;
  }
}

function earliest(readers: readonly ChainReader[]): ChainReader | undefined {
  let found: ChainReader | undefined;
  for (const reader of readers) {
    const event = reader.buffer[reader.taken];
    if (event !== undefined && (found === undefined || event.sequence! < found.buffer[found.taken]!.sequence!))
      found = reader;
  }
  return found;
}
