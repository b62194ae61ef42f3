import type { Sql } from '../../postgres/sql.ts';
import type { PartitionRef } from '../group.ts';
import { refArrays } from '../postgres/group-store.ts';
import { standingAmong } from '../postgres/positions.ts';
import { offsetOf } from './standing.ts';

/**
 * Messages that relays have noted in the partitions and the consumer has not passed.
 * @param stores all whose events are on the topics; each has noted its own
 */
export async function waitingOnKafka(
  sql: Sql,
  consumer: string,
  partitions: readonly PartitionRef[],
  stores: readonly Sql[],
): Promise<number> {
  const standing = await standingAmong(sql, consumer, partitions);
  const ends = standing.map(() => 0);
  for (const store of stores)
    for (const [i, end] of (await notedEnds(store, standing)).entries()) ends[i] = Math.max(ends[i]!, end);
  return standing.reduce((sum, { progress }, i) => sum + Math.max(0, ends[i]! - (offsetOf(progress) ?? 0)), 0);
}

/** Behind the last message that the store's relay has noted, of each partition; 0 where there is none. */
export async function notedEnds(store: Sql, partitions: readonly PartitionRef[]): Promise<readonly number[]> {
  const rows = await store.query<{ behind: number }>(
    `SELECT coalesce((SELECT max(last_offset) + 1 FROM event_landings e
        WHERE e.topic = a.topic AND e.partition = a.partition), 0)::bigint AS behind
      FROM unnest($1::text[], $2::int[]) WITH ORDINALITY AS a(topic, partition, n) ORDER BY n`,
    [...refArrays(partitions)],
  );
  return rows.map(({ behind }) => behind);
}
