import type { LogPosition } from '../../core/log-position.ts';
import { encodeArray } from '../../postgres/arrays.ts';
import type { Sql } from '../../postgres/sql.ts';
import { type PartitionRef, partitionName, type StandingPartition } from '../group.ts';
import { refArrays } from '../postgres/group-store.ts';
import type { Entry, Move } from '../postgres/moves.ts';
import { standingAmong } from '../postgres/positions.ts';
import { offsetOf, standAt } from './standing.ts';

/**
 * Where a consumer goes on in the topics that it comes to: at what was written together with the first message that it had not
 * handled where it comes from. What landed is noted for all topologies in one transaction with one time; what is not noted
 * yet lies behind all of that.
 * @param tags of the topics, see `standing.ts`
 * @param stores all whose events are on the topics; each has noted its own
 */
export function kafkaEntry(tags: ReadonlyMap<string, number>, stores: readonly Sql[]): Entry {
  return async (_sql, move, leaving) => {
    const offsets = await offsetsOf(stores, move, leaving);
    return (ref, stood) => {
      const tag = tags.get(ref.topic);
      const offset = offsets.get(partitionName(ref));
      return tag === undefined || offset === undefined ? stood : standAt(stood, offset, tag);
    };
  };
}

/** From where everything is to be read: the first of what any of the stores has there, else behind the last. */
async function offsetsOf(
  stores: readonly Sql[],
  move: Move,
  leaving: readonly StandingPartition[],
): Promise<ReadonlyMap<string, number>> {
  const first = new Map<string, number>();
  const behind = new Map<string, number>();
  for (const store of stores)
    for (const row of await offsetsSince(store, move, await firstUnhandled(store, leaving))) {
      const name = partitionName(row);
      if (row.first !== null) first.set(name, Math.min(row.first, first.get(name) ?? row.first));
      if (row.behind !== null) behind.set(name, Math.max(row.behind, behind.get(name) ?? 0));
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
    [...refArrays(leaving), nextOffsets(leaving), JSON.stringify(position)],
  );
  return row!.waiting === false;
}

/** When the first message landed that was not handled, milliseconds since 1970; undefined when all were. */
async function firstUnhandled(sql: Sql, leaving: readonly StandingPartition[]): Promise<number | undefined> {
  const [row] = await sql.query<{ at: number | null }>(
    `SELECT min(l.landed_at) AS at FROM event_landings l
        JOIN unnest($1::text[], $2::int[], $3::bigint[]) AS a(topic, partition, next) USING (topic, partition)
      WHERE l.last_offset >= a.next`,
    [...refArrays(leaving), nextOffsets(leaving)],
  );
  return row!.at ?? undefined;
}

/** Of each partition the first offset that was written at the time or later, and the one behind its last message. */
function offsetsSince(sql: Sql, { on, to }: Move, time: number | undefined) {
  return sql.query<PartitionRef & { readonly first: number | null; readonly behind: number | null }>(
    `SELECT a.topic, a.partition,
        (SELECT min(l.first_offset) FROM event_landings l WHERE l.topic = a.topic AND l.partition = a.partition
          AND l.landed_at >= to_timestamp($3::float8 / 1000)) AS first,
        (SELECT max(l.last_offset) + 1 FROM event_landings l WHERE l.topic = a.topic AND l.partition = a.partition) AS behind
      FROM unnest($1::text[], $2::int[]) AS a(topic, partition)`,
    [...refArrays(on(to)), time ?? null],
  );
}

function nextOffsets(partitions: readonly StandingPartition[]): Buffer {
  return encodeArray(
    'bigint',
    partitions.map(({ progress }) => offsetOf(progress) ?? 0),
  );
}
