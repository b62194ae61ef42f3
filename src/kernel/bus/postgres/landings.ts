import { encodeArray } from '../../postgres/arrays.ts';
import type { Sql } from '../../postgres/sql.ts';

/** Where an event is in Kafka. */
export interface KafkaPlace {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Milliseconds since 1970. */
  readonly landed_at: number;
}

/** Where an event is in the log. */
export interface LogPlace {
  readonly chain: number;
  readonly position: number;
}

/**
 * Where in Kafka the event at a place of the log landed, the latest last: more than one when it was sent again, or to more
 * topics than one; none while it waits, or when that is longer ago than landings are kept.
 */
export function findInKafka(sql: Sql, { chain, position }: LogPlace): Promise<readonly KafkaPlace[]> {
  // Rows of one chain are written in the order of its events: those that can hold it are few, and stand together.
  return sql.query<KafkaPlace>(
    `SELECT l.topic, l.partition, l.first_offset + p.ordinal - 1 AS "offset", l.landed_at FROM event_landings l
        CROSS JOIN LATERAL jsonb_array_elements(l.positions) WITH ORDINALITY AS p(position, ordinal)
      WHERE l.chain = $1 AND l.last_position >= $2 AND l.first_position <= $2 AND p.position = to_jsonb($2::bigint)
      ORDER BY l.landed_at, l.topic, l.partition, 3`,
    [chain, position],
  );
}

/** The place in the log of what is at an offset in Kafka; undefined when it is not an event of this store. */
export async function findInLog(
  sql: Sql,
  { topic, partition, offset }: Omit<KafkaPlace, 'landed_at'>,
): Promise<LogPlace | undefined> {
  const rows = await sql.query<{ chain: number; position: number | null }>(
    `SELECT chain, (positions -> ($3 - first_offset)::int)::bigint AS position FROM event_landings
      WHERE topic = $1 AND partition = $2 AND first_offset <= $3 AND last_offset >= $3
        AND positions -> ($3 - first_offset)::int <> 'null'`,
    [topic, partition, offset],
  );
  const [row] = rows;
  return row === undefined || row.position === null ? undefined : { chain: row.chain, position: row.position };
}

/** Forgets landings older than `keptMs`, up to `limit`. @returns how many */
export async function pruneLandings(sql: Sql, keptMs: number, limit: number): Promise<number> {
  const rows = await sql.query(
    `DELETE FROM event_landings WHERE ctid = ANY(ARRAY(SELECT ctid FROM event_landings
      WHERE landed_at < now() - $1 * interval '1 millisecond' LIMIT $2)) RETURNING 1`,
    [keptMs, limit],
  );
  return rows.length;
}

/** Forgets what landed on topics that are not there any more, up to `limit` landings. @returns how many */
export async function forgetLandings(sql: Sql, topics: readonly string[], limit: number): Promise<number> {
  const rows = await sql.query(
    'DELETE FROM event_landings WHERE ctid = ANY(ARRAY(SELECT ctid FROM event_landings WHERE topic = ANY($1) LIMIT $2)) RETURNING 1',
    [encodeArray('text', topics), limit],
  );
  return rows.length;
}
