import type { LogPosition } from '../../core/log-position.ts';
import { later } from '../../core/log-position.ts';
import { encodeArray } from '../../postgres/arrays.ts';
import type { Sql } from '../../postgres/sql.ts';
import type { Difference, LogSlice } from '../comparison.ts';
import { partitionName } from '../group.ts';

/** How far two topologies have been compared. */
export interface Compared {
  /** Of the log. */
  readonly position: LogPosition;
  /** By `topic/partition`: the next offset to look at, and up to which offset was looked at messages of before `position`. */
  readonly offsets: Readonly<Record<string, { readonly next: number; readonly seen: number }>>;
}

/** What was found when the topics of the target were compared with those of the current topology. */
export interface Comparison {
  /** When, milliseconds since 1970. */
  readonly at: number;
  readonly begin: Compared;
  readonly end: Compared;
  /** Events, and keys of the target in each slice of the log. */
  readonly events: number;
  readonly keys: number;
  /** Messages that the relay had sent again, and those that are no events of this store. */
  readonly repeats: number;
  readonly foreign: number;
  /** Older events that were too many to be looked at. */
  readonly left_out: number;
  /** How many there are, and the first of them. */
  readonly differences: number;
  readonly examples: readonly Difference[];
  /** An operator knows of the differences: the next comparison begins behind them. */
  readonly accepted: boolean;
}

/** Where in Kafka the relay noted the events of a slice of the log. */
export interface Notes {
  /** By `topic/partition`, then by `chain/position`: the offset. Partitions without events of the slice are not there. */
  readonly offsets: ReadonlyMap<string, ReadonlyMap<string, number>>;
}

/** Notes what was found with the target; nothing when there is none any more. */
export async function saveComparison(sql: Sql, comparison: Comparison): Promise<void> {
  await sql.query(`UPDATE bus_topologies SET compared = $1 WHERE role = 'target'`, [JSON.stringify(comparison)]);
}

/**
 * A slice of the log in smaller ones, cut between two commits of the relay.
 * @param topics on which each event is once
 * @param most events in all: of more, the newest
 * @param size events in one of them, if no single commit has more
 * @returns the slices, and how many events are left out at the beginning
 */
export async function planSlices(
  sql: Sql,
  slice: LogSlice,
  topics: readonly string[],
  { most, size }: { readonly most: number; readonly size: number },
): Promise<{ readonly slices: readonly LogSlice[]; readonly leftOut: number }> {
  const commits = await sql.query<{ at: number; events: number }>(
    `SELECT at, sum(events)::int AS events FROM (
        SELECT l.landed_at AS at, max(l.last_offset) - min(l.first_offset) + 1 AS events
          FROM event_landings l JOIN ${CHAINS} USING (chain) WHERE l.topic = ANY($4) AND ${WITHIN}
          GROUP BY l.landed_at, l.topic, l.partition) AS landed
      GROUP BY 1 ORDER BY 1 DESC`,
    [...chainArrays(slice), encodeArray('text', topics)],
  );
  let kept = 0;
  let taken = 0;
  while (kept < commits.length && (kept === 0 || taken + commits[kept]!.events <= most))
    taken += commits[kept++]!.events;
  const leftOut = commits.slice(kept).reduce((sum, { events }) => sum + events, 0);
  const cuts = cutsOf(commits.slice(0, kept).reverse(), size);
  const oldest = commits[kept]?.at;
  let from = oldest === undefined ? slice.from : await reachedAt(sql, slice, oldest);
  const slices: LogSlice[] = [];
  for (const cut of cuts.slice(0, -1)) {
    const to = await reachedAt(sql, slice, cut);
    slices.push({ from, to });
    from = to;
  }
  return { slices: [...slices, { from, to: slice.to }], leftOut };
}

/** The times of the commits with which a slice ends. */
function cutsOf(commits: readonly { readonly at: number; readonly events: number }[], size: number): readonly number[] {
  const cuts: number[] = [];
  let events = 0;
  for (const [i, commit] of commits.entries()) {
    if (i > 0 && events + commit.events > size) {
      cuts.push(commits[i - 1]!.at);
      events = 0;
    }
    events += commit.events;
  }
  const last = commits.at(-1);
  return last === undefined ? [] : [...cuts, last.at];
}

/** How far the relay had come in the slice when it noted what landed at the time. */
async function reachedAt(sql: Sql, slice: LogSlice, time: number): Promise<LogPosition> {
  const rows = await sql.query<{ chain: number; position: number }>(
    `SELECT l.chain, max(l.last_position) AS position FROM event_landings l JOIN ${CHAINS} USING (chain)
      WHERE ${WITHIN} AND l.landed_at < to_timestamp(($4::float8 + 1) / 1000) GROUP BY 1`,
    [...chainArrays(slice), time],
  );
  return later(slice.from, Object.fromEntries(rows.map(({ chain, position }) => [chain, position])));
}

/** Where the events of the slice landed on the topics. */
export async function readNotes(sql: Sql, slice: LogSlice, topics: readonly string[]): Promise<Notes> {
  const rows = await sql.query<{
    topic: string;
    partition: number;
    first_offset: number;
    chain: number;
    positions: readonly (number | null)[];
  }>(
    `SELECT l.topic, l.partition, l.first_offset, l.chain, l.positions FROM event_landings l JOIN ${CHAINS} USING (chain)
      WHERE l.topic = ANY($4) AND ${WITHIN} ORDER BY l.landed_at, l.first_offset`,
    [...chainArrays(slice), encodeArray('text', topics)],
  );
  const offsets = new Map<string, Map<string, number>>();
  for (const { first_offset, chain, positions, ...ref } of rows) {
    const name = partitionName(ref);
    const noted = offsets.get(name) ?? new Map<string, number>();
    offsets.set(name, noted);
    for (const [i, position] of positions.entries())
      if (position !== null) noted.set(`${chain}/${position}`, first_offset + i);
  }
  return { offsets };
}

/** A commit of the relay has all of a chain from one position to another: no landing is half in a slice. */
const CHAINS = 'unnest($1::int[], $2::bigint[], $3::bigint[]) AS s(chain, behind, upto)';
const WITHIN = 'l.last_position > s.behind AND l.last_position <= s.upto';

function chainArrays({ from, to }: LogSlice): [Buffer, Buffer, Buffer] {
  const chains = Object.keys(to);
  return [
    encodeArray('integer', chains.map(Number)),
    encodeArray(
      'bigint',
      chains.map((chain) => from[chain] ?? 0),
    ),
    encodeArray(
      'bigint',
      chains.map((chain) => to[chain]),
    ),
  ];
}
