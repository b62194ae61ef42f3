import { uuidTime } from '../../core/ids.ts';
import type { Sql } from '../../postgres/sql.ts';

/** The first millisecond of a month (`year * 12 + month`), UTC. */
export function monthStart(month: number): number {
  return Date.UTC(Math.floor(month / 12), month % 12, 1);
}

/** Clocks of the machines of one system differ by less than this, milliseconds. */
const CLOCK_SKEW_MS = 86_400_000;

/**
 * No event of a stream is stored before this moment (milliseconds since 1970): the time in its id, less what clocks may
 * differ by; 0 when the id does not tell. Searches leave out the partitions before it.
 */
export function earliestStorage(streamId: string): number {
  return Math.max(0, (uuidTime(streamId) ?? 0) - CLOCK_SKEW_MS);
}

/**
 * Makes the month ready for appends: its partition exists and every earlier month is closed. When a clock ahead of
 * ours has closed the wanted month already, the month that is open instead.
 * @returns the month to append into
 */
export async function enterMonth(sql: Sql, wanted: number): Promise<number> {
  const month = Math.max(wanted, await currentMonth(sql));
  await sql.query('SELECT create_event_partition($1)', [month]);
  await sql.query('SELECT close_event_months_before($1)', [month]);
  return month;
}

/** The first month that is not closed, or the one after the last closed; 0 in an empty store. */
export async function currentMonth(sql: Sql): Promise<number> {
  const rows = await sql.query<{ month: number }>(
    'SELECT coalesce(max(month) FILTER (WHERE closed) + 1, 0)::int AS month FROM event_months',
  );
  return rows[0]?.month ?? 0;
}

/** Makes the partitions of this month and of the next ones, so that no append has to. */
export async function makePartitionsAhead(sql: Sql, now: number, months: number): Promise<readonly string[]> {
  const date = new Date(now);
  const first = date.getUTCFullYear() * 12 + date.getUTCMonth();
  const made: string[] = [];
  for (let month = first; month <= first + months; month++) {
    const rows = await sql.query<{ name: string }>('SELECT create_event_partition($1) AS name', [month]);
    made.push(rows[0]!.name);
  }
  return made;
}
