import type { LogPosition } from '../../core/log-position.ts';
import { encodeArray } from '../../postgres/arrays.ts';
import type { Sql } from '../../postgres/sql.ts';
import { partitionName, type StandingPartition } from '../group.ts';
import { refArrays } from '../postgres/group-store.ts';
import type { Entry, Move } from '../postgres/moves.ts';
import { standingAmong } from '../postgres/positions.ts';
import { readTags } from '../postgres/topics.ts';
import { MAX_PARTITION_BYTES, MIN_MESSAGE_BYTES } from './destination.ts';
import { nextIn, standAt } from './standing.ts';

/** Offsets that one landing covers at most: what is written to a partition at once has a limit, and no message is smaller. */
const LONGEST_LANDING = MAX_PARTITION_BYTES / MIN_MESSAGE_BYTES;

/**
 * Where a consumer goes on in the topics that it comes to: at what was written together with the first message that it had not
 * handled where it comes from. What landed is noted for all topologies in one transaction with one time; what is not noted
 * yet lies behind all of that.
 */
export const kafkaEntry: Entry = async (sql, move, leaving) => {
  const tags = await readTags(sql);
  const offsets = await offsetsSince(sql, move, await firstUnhandled(sql, leaving, tags));
  return (ref, stood) => {
    const tag = tags.get(ref.topic);
    const offset = offsets.get(partitionName(ref));
    return tag === undefined || offset === undefined ? stood : standAt(stood, offset, tag);
  };
};

/** Whether the consumer has handled everything up to a position of the log, in the topics that it is to leave. */
export async function hasPassedOnKafka(sql: Sql, move: Move, position: LogPosition): Promise<boolean> {
  const leaving = await standingAmong(sql, move.consumer, move.on(move.from));
  const [row] = await sql.query<{ waiting: boolean }>(
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

/** The first offset of each partition that was written at the time or later, else the one behind its last message. */
async function offsetsSince(
  sql: Sql,
  { on, to }: Move,
  time: number | undefined,
): Promise<ReadonlyMap<string, number>> {
  const rows = await sql.query<{ topic: string; partition: number; offset: number | null }>(
    `SELECT a.topic, a.partition, coalesce(
        (SELECT min(l.first_offset) FROM event_landings l
          WHERE l.topic = a.topic AND l.partition = a.partition AND l.landed_at >= to_timestamp($3::float8 / 1000)),
        (SELECT max(l.last_offset) + 1 FROM event_landings l WHERE l.topic = a.topic AND l.partition = a.partition)
      ) AS "offset" FROM unnest($1::text[], $2::int[]) AS a(topic, partition)`,
    [...refArrays(on(to)), time ?? null],
  );
  return new Map(rows.flatMap((row) => (row.offset === null ? [] : [[partitionName(row), row.offset]])));
}

function nextOffsets(partitions: readonly StandingPartition[], tags: ReadonlyMap<string, number>): Buffer {
  return encodeArray(
    'bigint',
    partitions.map(({ topic, progress }) => nextIn(progress, tags.get(topic))),
  );
}
