import type { LogPosition } from '../../core/log-position.ts';
import { encodeArray } from '../../postgres/arrays.ts';
import type { Sql } from '../../postgres/sql.ts';
import { type PartitionRef, partitionName, type StandingPartition } from '../group.ts';
import { refArrays } from '../postgres/group-store.ts';
import type { Entry, Move } from '../postgres/moves.ts';
import { standingAmong } from '../postgres/positions.ts';
import { readTags } from '../postgres/topics.ts';
import { MAX_PARTITION_BYTES, MIN_MESSAGE_BYTES } from './destination.ts';
import { nextIn, standAt } from './standing.ts';
import { notedEnds } from './waiting.ts';

/** Offsets that one landing covers at most: what is written to a partition at once has a limit, and no message is smaller. */
const LONGEST_LANDING = MAX_PARTITION_BYTES / MIN_MESSAGE_BYTES;

/**
 * Where a consumer goes on in the topics that it comes to: at what was written together with the first message that it had not
 * handled where it comes from. What landed is noted for all topologies in one transaction with one time; what is not noted
 * yet lies behind all of that.
 * @param stores all whose events are on the topics; each has noted its own
 */
export function kafkaEntry(stores: readonly Sql[]): Entry {
  return async (sql, move, leaving) => {
    const tags = await readTags(sql);
    const offsets = await offsetsOf(stores, move, leaving, tags);
    return (ref, stood) => {
      const tag = tags.get(ref.topic);
      const offset = offsets.get(partitionName(ref));
      return tag === undefined || offset === undefined ? stood : standAt(stood, offset, tag);
    };
  };
}

/**
 * From where everything is to be read: the first of what any of the stores has there, else behind the last. The ends are read
 * first: what is noted after that is either seen to be unhandled, or lies behind them.
 */
async function offsetsOf(
  stores: readonly Sql[],
  move: Move,
  leaving: readonly StandingPartition[],
  tags: ReadonlyMap<string, number>,
): Promise<ReadonlyMap<string, number>> {
  const entering = move.on(move.to);
  const first = new Map<string, number>();
  const behind = new Map<string, number>();
  for (const store of stores) {
    for (const [i, end] of (await notedEnds(store, entering)).entries()) {
      const name = partitionName(entering[i]!);
      if (end > 0) behind.set(name, Math.max(end, behind.get(name) ?? 0));
    }
    const since = await firstUnhandled(store, leaving, tags);
    if (since === undefined) continue;
    for (const row of await firstSince(store, entering, since)) {
      const name = partitionName(row);
      first.set(name, Math.min(row.first, first.get(name) ?? row.first));
    }
  }
  return new Map([...behind, ...first]);
}

/**
 * Whether the consumer has handled everything up to a position of the log of a store, in the topics that it is to leave.
 * @param sql the consumer's database
 */
export async function hasPassedOnKafka(sql: Sql, move: Move, store: Sql, position: LogPosition): Promise<boolean> {
  const leaving = await standingAmong(sql, move.consumer, move.on(move.from));
  const [row] = await store.query<{ waiting: boolean }>(
    `SELECT EXISTS (SELECT 1 FROM event_landings l
        JOIN unnest($1::text[], $2::int[], $3::bigint[]) AS a(topic, partition, next) USING (topic, partition)
      WHERE l.last_offset >= a.next AND l.first_position <= coalesce(($4::jsonb ->> l.chain::text)::bigint, 0)) AS waiting`,
    [...refArrays(leaving), nextOffsets(leaving, await readTags(sql)), JSON.stringify(position)],
  );
  return row!.waiting === false;
}

/**
 * When the first message landed that was not handled, milliseconds since 1970; undefined when all were.
 * @param tags of the topics as the store knows them
 */
export async function firstUnhandled(
  sql: Sql,
  partitions: readonly StandingPartition[],
  tags: ReadonlyMap<string, number>,
): Promise<number | undefined> {
  const [row] = await sql.query<{ at: number | null }>(
    `SELECT min(f.landed_at) AS at FROM unnest($1::text[], $2::int[], $3::bigint[]) AS a(topic, partition, next)
      CROSS JOIN LATERAL (SELECT l.landed_at FROM event_landings l WHERE l.topic = a.topic AND l.partition = a.partition
        AND l.first_offset > a.next - $4 AND l.last_offset >= a.next ORDER BY l.first_offset LIMIT 1) f`,
    [...refArrays(partitions), nextOffsets(partitions, tags), LONGEST_LANDING],
  );
  return row!.at ?? undefined;
}

/** Of each partition that has any: the first offset that was written at the time or later. */
function firstSince(sql: Sql, partitions: readonly PartitionRef[], time: number) {
  return sql.query<PartitionRef & { readonly first: number }>(
    `SELECT topic, partition, min(l.first_offset) AS first FROM event_landings l
      JOIN unnest($1::text[], $2::int[]) AS a(topic, partition) USING (topic, partition)
      WHERE l.landed_at >= to_timestamp($3::float8 / 1000) GROUP BY 1, 2`,
    [...refArrays(partitions), time],
  );
}

function nextOffsets(partitions: readonly StandingPartition[], tags: ReadonlyMap<string, number>): Buffer {
  return encodeArray(
    'bigint',
    partitions.map(({ topic, progress }) => nextIn(progress, tags.get(topic))),
  );
}
