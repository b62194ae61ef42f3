import { encodeArray } from '../../postgres/arrays.ts';
import type { Sql } from '../../postgres/sql.ts';
import type { PartitionRef } from '../group.ts';
import { refArrays } from '../postgres/group-store.ts';
import { standingAmong } from '../postgres/positions.ts';
import { offsetOf } from './standing.ts';

/** Messages that the relay has noted in the partitions and the consumer has not passed. */
export async function waitingOnKafka(sql: Sql, consumer: string, partitions: readonly PartitionRef[]): Promise<number> {
  const standing = await standingAmong(sql, consumer, partitions);
  const next = standing.map(({ progress }) => offsetOf(progress) ?? 0);
  const [row] = await sql.query<{ waiting: number }>(
    `SELECT coalesce(sum(greatest(l.behind - a.next, 0)), 0)::bigint AS waiting
      FROM unnest($1::text[], $2::int[], $3::bigint[]) AS a(topic, partition, next)
      CROSS JOIN LATERAL (SELECT max(last_offset) + 1 AS behind FROM event_landings e
        WHERE e.topic = a.topic AND e.partition = a.partition) AS l`,
    [...refArrays(standing), encodeArray('bigint', next)],
  );
  return row!.waiting;
}
