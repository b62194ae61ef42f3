import type { Sql } from '../../postgres/sql.ts';
import type { DeadLetterMessage, DeadLetterOutbox, DeadLetterPlace } from '../dead-letters.ts';

/**
 * The dead letters of the database that have not left for Kafka.
 * @param topics those that there are: letters for others, of another topology, stay
 */
export function createDeadLetterOutbox(sql: Sql, topics: readonly string[]): DeadLetterOutbox {
  return {
    waiting: (limit) =>
      sql.query<DeadLetterMessage>(
        `SELECT l.id, m.count, l.arrival, l.consumer AS service, l.dlq_topic AS topic, l.original_topic AS "originalTopic",
            l.partition AS "originalPartition", l.key, l.event, m.attempts, m.error, m.fingerprint,
            l.first_seen AS "firstSeen", m.died_at AS "diedAt"
          FROM dead_letter_messages m JOIN error_log l ON l.id = m.error_id
          WHERE m.landed_at IS NULL AND l.dlq_topic = ANY($1::text[]) ORDER BY m.due LIMIT $2`,
        [topics, limit],
      ),
    note: async (letters, places) => {
      const landed = places.map((place, i) => ({ id: letters[i]!.id, count: letters[i]!.count, ...place }));
      await sql.query(
        `UPDATE dead_letter_messages m
          SET topic = n.topic, partition = n.partition, message_offset = n."offset", landed_at = now()
          FROM jsonb_to_recordset($1::jsonb) AS n(id uuid, count int, topic text, partition int, "offset" bigint)
          WHERE m.error_id = n.id AND m.count = n.count AND m.landed_at IS NULL`,
        [JSON.stringify(landed)],
      );
    },
  };
}

/**
 * Makes the row of a dead letter anew, open, from what Kafka has of it. Does nothing where there is one of the message.
 * @returns whether there was none
 */
export async function restoreDeadLetter(sql: Sql, letter: DeadLetterMessage, place: DeadLetterPlace): Promise<boolean> {
  const rows = await sql.query(
    `WITH given AS (SELECT * FROM jsonb_to_record($1::jsonb) AS g(id uuid, count int, arrival bigint, service text, topic text,
          "originalTopic" text, "originalPartition" int, key text, event jsonb, attempts int, error text, fingerprint text)),
        restored AS (INSERT INTO error_log (id, arrival, consumer, event_id, dlq_topic, original_topic, partition, key, event,
            attempts, error, fingerprint, count, first_seen, last_seen, status)
          OVERRIDING SYSTEM VALUE
          SELECT id, arrival, service, (event ->> 'id')::uuid, topic, "originalTopic", "originalPartition", key, event,
            attempts, error, fingerprint, count, to_timestamp($2 / 1000.0), to_timestamp($3 / 1000.0), 'open' FROM given
          ON CONFLICT DO NOTHING RETURNING id, count, attempts, error, fingerprint, last_seen)
      INSERT INTO dead_letter_messages (error_id, count, attempts, error, fingerprint, died_at, topic, partition, message_offset, landed_at)
      SELECT id, count, attempts, error, fingerprint, last_seen, $4, $5, $6, last_seen FROM restored RETURNING error_id`,
    [JSON.stringify(letter), letter.firstSeen, letter.diedAt, place.topic, place.partition, place.offset],
  );
  return rows.length > 0;
}
