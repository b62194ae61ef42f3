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
 * Where a consumer goes on in the topics that it comes to: in each partition at the first message that it had not handled where
 * it comes from, or before it. What landed is noted for all topologies in one transaction.
 * @param stores all whose events are on the topics; each has noted its own
 */
export function kafkaEntry(stores: readonly Sql[]): Entry {
  return async (sql, move, leaving) => {
    const tags = await readTags(sql);
    const offsets = await offsetsOf(stores, move.on(move.to), leaving, tags);
    return (ref, stood) => {
      const tag = tags.get(ref.topic);
      const offset = offsets.get(partitionName(ref));
      return tag === undefined || offset === undefined ? stood : standAt(stood, offset, tag);
    };
  };
}

/**
 * Before these offsets everything of every store was handled. Of one store that is what stands before its first event that was
 * not, and before what it has not noted yet: behind the end of what it has. The ends are read first, as what is noted after
 * that either is seen to be unhandled, or lies behind them. Another store may have noted what lies further: it is the nearest of
 * their offsets that counts.
 * @returns by partition; those in which a store has noted nothing are left out
 */
async function offsetsOf(
  stores: readonly Sql[],
  entering: readonly PartitionRef[],
  leaving: readonly StandingPartition[],
  tags: ReadonlyMap<string, number>,
): Promise<ReadonlyMap<string, number>> {
  const nearest = entering.map(() => Number.POSITIVE_INFINITY);
  for (const store of stores) {
    const ends = await notedEnds(store, entering);
    const firsts = await firstOffsets(store, entering, await firstUnhandled(store, leaving, tags));
    for (const [i, ref] of entering.entries())
      nearest[i] = Math.min(nearest[i]!, ends[i]!, firsts.get(partitionName(ref)) ?? Number.POSITIVE_INFINITY);
  }
  return new Map(
    entering.flatMap((ref, i): [string, number][] => (nearest[i]! > 0 ? [[partitionName(ref), nearest[i]!]] : [])),
  );
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
 * By chain of the store: where the first landing begins that was not handled; chains that have none are left out.
 * @param tags of the topics as the store knows them
 */
export async function firstUnhandled(
  store: Sql,
  partitions: readonly StandingPartition[],
  tags: ReadonlyMap<string, number>,
): Promise<LogPosition> {
  const rows = await store.query<{ chain: number; first: number }>(
    `SELECT l.chain, min(l.first_position) AS first FROM event_landings l
      JOIN unnest($1::text[], $2::int[], $3::bigint[]) AS a(topic, partition, next) USING (topic, partition)
      WHERE l.first_offset > a.next - $4 AND l.last_offset >= a.next GROUP BY 1`,
    [...refArrays(partitions), nextOffsets(partitions, tags), LONGEST_LANDING],
  );
  return Object.fromEntries(rows.map(({ chain, first }) => [chain, first]));
}

/** Of each partition that has any: where the first landing with an event at the position of its chain, or behind it, begins. */
async function firstOffsets(
  store: Sql,
  partitions: readonly PartitionRef[],
  positions: LogPosition,
): Promise<ReadonlyMap<string, number>> {
  const rows = await store.query<PartitionRef & { readonly first: number }>(
    `SELECT topic, partition, min(l.first_offset) AS first FROM event_landings l
      JOIN unnest($1::text[], $2::int[]) AS a(topic, partition) USING (topic, partition)
      WHERE l.last_position >= ($3::jsonb ->> l.chain::text)::bigint GROUP BY 1, 2`,
    [...refArrays(partitions), JSON.stringify(positions)],
  );
  return new Map(rows.map((row) => [partitionName(row), row.first]));
}

function nextOffsets(partitions: readonly StandingPartition[], tags: ReadonlyMap<string, number>): Buffer {
  return encodeArray(
    'bigint',
    partitions.map(({ topic, progress }) => nextIn(progress, tags.get(topic))),
  );
}
