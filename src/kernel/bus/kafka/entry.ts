import type { LogPosition } from '../../core/log-position.ts';
import { encodeArray } from '../../postgres/arrays.ts';
import type { Sql } from '../../postgres/sql.ts';
import { partitionName, type StandingPartition } from '../group.ts';
import { refArrays } from '../postgres/group-store.ts';
import type { Entry, Move } from '../postgres/moves.ts';
import { standingAmong } from '../postgres/positions.ts';
import { offsetOf, standAt } from './standing.ts';

/**
 * Where a consumer goes on in the topics that it comes to: at what was written together with the first message that it had not
 * handled where it comes from. What landed is noted for all topologies in one transaction with one time; what is not noted
 * yet lies behind all of that.
 * @param tags of the topics, see `standing.ts`
 */
export function kafkaEntry(tags: ReadonlyMap<string, number>): Entry {
  return async (sql, move, leaving) => {
    const offsets = await offsetsSince(sql, move, await firstUnhandled(sql, leaving));
    return (ref, stood) => {
      const tag = tags.get(ref.topic);
      const offset = offsets.get(partitionName(ref));
      return tag === undefined || offset === undefined ? stood : standAt(stood, offset, tag);
    };
  };
}

/** Whether the consumer has handled everything up to a position of the log, in the topics that it is to leave. */
export async function hasPassedOnKafka(sql: Sql, move: Move, position: LogPosition): Promise<boolean> {
  const leaving = await standingAmong(sql, move.consumer, move.on(move.from));
  const [row] = await sql.query<{ waiting: boolean }>(
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

function nextOffsets(partitions: readonly StandingPartition[]): Buffer {
  return encodeArray(
    'bigint',
    partitions.map(({ progress }) => offsetOf(progress) ?? 0),
  );
}
