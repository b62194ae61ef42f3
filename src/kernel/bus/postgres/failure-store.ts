import type { RecordedEvent } from '../../core/event.ts';
import type { Sql } from '../../postgres/sql.ts';
import type { FailureStore } from '../../processor/failures.ts';
import { refArrays } from './group-store.ts';

interface RetryingRow {
  readonly event: RecordedEvent;
  readonly original_topic: string;
  readonly partition: number;
  readonly key: string;
  readonly attempts: number;
  readonly retry_at: number;
}

/** The messages that wait for another attempt, from `error_log`. */
export function createPostgresFailureStore(sql: Sql): FailureStore {
  return {
    retrying: async (consumer, partitions, limit) => {
      const rows = await sql.query<RetryingRow>(
        `SELECT event, original_topic, partition, key, attempts, retry_at FROM error_log
          WHERE consumer = $1 AND status = 'retrying'
            AND (original_topic, partition) IN (SELECT * FROM unnest($2::text[], $3::int[]))
          ORDER BY arrival LIMIT $4`,
        [consumer, ...refArrays(partitions), limit],
      );
      return rows.map((row) => ({
        event: row.event,
        place: { topic: row.original_topic, partition: row.partition, key: row.key },
        attempts: row.attempts,
        retryAt: row.retry_at,
      }));
    },
  };
}
