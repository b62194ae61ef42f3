import { encodeArray } from '../../postgres/arrays.ts';
import type { Statement } from '../../postgres/pipeline.ts';
import type { Commit, FailureWrites, Progress, Snapshot, StoredAnswer } from '../store.ts';
import { rowStatement, sumStatement } from './row-writes.ts';

/** Everything of a commit besides its events, as statements of the same transaction. */
export function sideStatements(batch: Commit, stripe: number): readonly Statement[] {
  const statements: Statement[] = [];
  for (const writes of batch.rows ?? []) if (writes.rows.length > 0) statements.push(rowStatement(writes));
  for (const writes of batch.sums ?? []) if (writes.rows.length > 0) statements.push(sumStatement(writes, stripe));
  if (batch.snapshots !== undefined && batch.snapshots.length > 0) statements.push(saveSnapshots(batch.snapshots));
  if (batch.answers !== undefined && batch.answers.length > 0) statements.push(saveAnswers(batch.answers));
  if (batch.failures !== undefined) statements.push(...saveFailures(batch.failures));
  if (batch.progress !== undefined) statements.push(saveProgress(batch.progress));
  return statements;
}

function saveSnapshots(snapshots: readonly Snapshot[]): Statement {
  return {
    name: 'save_snapshots',
    text: `INSERT INTO snapshots AS s (aggregate_id, aggregate_type, position, state_version, state)
      SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::int[], $5::jsonb[])
      ON CONFLICT (aggregate_id, aggregate_type) DO UPDATE
        SET position = excluded.position, state_version = excluded.state_version, state = excluded.state`,
    values: [
      encodeArray(
        'uuid',
        snapshots.map((snapshot) => snapshot.stream.id),
      ),
      encodeArray(
        'text',
        snapshots.map((snapshot) => snapshot.stream.type),
      ),
      encodeArray(
        'bigint',
        snapshots.map((snapshot) => snapshot.position),
      ),
      encodeArray(
        'integer',
        snapshots.map((snapshot) => snapshot.stateVersion),
      ),
      encodeArray(
        'jsonb',
        snapshots.map((snapshot) => JSON.stringify(snapshot.state)),
      ),
    ],
  };
}

function saveAnswers(answers: readonly StoredAnswer[]): Statement {
  return {
    name: 'save_answers',
    text: 'SELECT save_answers($1::text[], $2::text[], $3::text[], $4::jsonb[], $5::timestamptz[])',
    values: [
      encodeArray(
        'text',
        answers.map((answer) => answer.scope),
      ),
      encodeArray(
        'text',
        answers.map((answer) => answer.key),
      ),
      encodeArray(
        'text',
        answers.map((answer) => answer.requestHash),
      ),
      encodeArray(
        'jsonb',
        answers.map((answer) => JSON.stringify(answer.answer)),
      ),
      encodeArray(
        'timestamptz',
        answers.map((answer) => answer.expiresAt),
      ),
    ],
  };
}

function saveProgress(progress: Progress): Statement {
  return {
    name: 'save_progress',
    text: 'SELECT save_progress($1, $2, $3::jsonb)',
    values: [progress.consumer, progress.member, JSON.stringify(progress.value)],
  };
}

/** A message fails rarely; its writes are few rows, each with its own statement's worth of columns. */
function saveFailures(failures: FailureWrites): readonly Statement[] {
  const statements: Statement[] = [];
  if (failures.failed.length > 0) {
    statements.push({
      name: 'save_failed',
      text: `WITH failed AS (INSERT INTO error_log AS l (consumer, event_id, dlq_topic, original_topic, partition, key, event, attempts, error,
          fingerprint, first_seen, last_seen, retry_at, status)
        SELECT consumer, event_id, dlq_topic, topic, partition, key, event, attempts, error, fingerprint, failed_at, failed_at,
          retry_at, CASE WHEN retry_at IS NULL THEN 'open' ELSE 'retrying' END
        FROM jsonb_to_recordset($1::jsonb) AS f(consumer text, event_id uuid, dlq_topic text, topic text, partition int, key text,
          event jsonb, attempts int, error text, fingerprint text, failed_at timestamptz, retry_at timestamptz)
        ON CONFLICT (consumer, event_id) DO UPDATE SET dlq_topic = excluded.dlq_topic, attempts = excluded.attempts,
          error = excluded.error, fingerprint = excluded.fingerprint, last_seen = excluded.last_seen, retry_at = excluded.retry_at,
          status = excluded.status, count = l.count + CASE WHEN excluded.status = 'open' AND l.resolved_at IS NOT NULL THEN 1 ELSE 0 END,
          resolved_at = CASE WHEN excluded.status = 'open' THEN NULL ELSE l.resolved_at END
        RETURNING id, arrival, status, count, attempts, error, fingerprint, last_seen)
        INSERT INTO dead_letter_messages AS m (error_id, count, attempts, error, fingerprint, died_at)
        SELECT id, count, attempts, error, fingerprint, last_seen FROM failed WHERE status = 'open' ORDER BY arrival
        ON CONFLICT (error_id) DO UPDATE SET count = excluded.count, due = excluded.due, attempts = excluded.attempts,
          error = excluded.error, fingerprint = excluded.fingerprint, died_at = excluded.died_at, topic = NULL,
          partition = NULL, message_offset = NULL, landed_at = NULL
        WHERE m.count < excluded.count`,
      values: [JSON.stringify(failures.failed.map(failedRow))],
    });
  }
  if (failures.settled.length > 0) {
    statements.push({
      name: 'settle_failed',
      text: `WITH settled AS (SELECT * FROM unnest($1::text[], $2::uuid[]) AS s(consumer, event_id)),
          replayed AS (UPDATE error_log l SET status = 'replayed', retry_at = NULL FROM settled s
            WHERE l.consumer = s.consumer AND l.event_id = s.event_id AND l.resolved_at IS NOT NULL)
        DELETE FROM error_log l USING settled s
        WHERE l.consumer = s.consumer AND l.event_id = s.event_id AND l.resolved_at IS NULL`,
      values: [
        encodeArray(
          'text',
          failures.settled.map((settled) => settled.consumer),
        ),
        encodeArray(
          'uuid',
          failures.settled.map((settled) => settled.eventId),
        ),
      ],
    });
  }
  return statements;
}

function failedRow(failed: FailureWrites['failed'][number]): object {
  return {
    consumer: failed.consumer,
    event_id: failed.eventId,
    dlq_topic: failed.dlqTopic,
    topic: failed.topic,
    partition: failed.partition,
    key: failed.key,
    event: failed.event,
    attempts: failed.attempts,
    error: failed.error,
    fingerprint: failed.fingerprint,
    failed_at: new Date(failed.failedAt).toISOString(),
    retry_at: failed.retryAt === undefined ? null : new Date(failed.retryAt).toISOString(),
  };
}
