import type { LogPosition } from '../../core/log-position.ts';
import type { Sql } from '../../postgres/sql.ts';

/** A topic as the store knows it. */
export interface NotedTopic {
  readonly topic: string;
  /** Which making of it: see `kafka/standing.ts`. */
  readonly tag: number;
  /** Up to there nothing is sent to it again. */
  readonly sent: LogPosition;
}

/** Every topic that the store has ever written to. */
export function readTopics(sql: Sql): Promise<readonly NotedTopic[]> {
  return sql.query<NotedTopic>('SELECT topic, tag, sent FROM bus_topics ORDER BY topic');
}

/** The tag of each of them. */
export async function readTags(sql: Sql): Promise<ReadonlyMap<string, number>> {
  return new Map((await readTopics(sql)).map(({ topic, tag }) => [topic, tag]));
}

/** Notes topics as they are now. */
export async function noteTopics(sql: Sql, topics: readonly NotedTopic[]): Promise<void> {
  await sql.query(
    `INSERT INTO bus_topics (topic, tag, sent)
      SELECT topic, tag, sent FROM jsonb_to_recordset($1::jsonb) AS n(topic text, tag bigint, sent jsonb)
      ON CONFLICT (topic) DO UPDATE SET tag = excluded.tag, sent = excluded.sent, noted_at = now()`,
    [JSON.stringify(topics)],
  );
}

/** Forgets topics that the store has left, when they are deleted: that there are none any more is nobody's mistake. */
export async function forgetTopics(sql: Sql, topics: readonly string[]): Promise<void> {
  await sql.query('DELETE FROM bus_topics WHERE topic = ANY($1::text[])', [topics]);
}
