import type { RecordedEvent } from '../../core/event.ts';
import type { Page } from '../../core/page.ts';
import { pageOf } from '../../core/page.ts';
import type { Sql } from '../../postgres/sql.ts';
import type { DeadLetterPlace } from '../dead-letters.ts';

/** `retrying`: tried again by itself; `open`: waits for an operator; the others were settled by one. */
export const DEAD_LETTER_STATUSES = ['retrying', 'open', 'replayed', 'discarded'] as const;
export type DeadLetterStatus = (typeof DEAD_LETTER_STATUSES)[number];

/** A message that a service could not handle. Times in milliseconds since 1970. */
export interface DeadLetter {
  readonly id: string;
  /** The service. */
  readonly consumer: string;
  readonly event_id: string;
  readonly dlq_topic: string;
  readonly original_topic: string;
  readonly partition: number;
  readonly key: string;
  readonly event: RecordedEvent;
  readonly attempts: number;
  readonly error: string;
  readonly fingerprint: string;
  /** How often it came to the operators. */
  readonly count: number;
  readonly first_seen: number;
  readonly last_seen: number;
  readonly retry_at: number | null;
  readonly status: DeadLetterStatus;
  readonly resolved_at: number | null;
  readonly resolved_by: string | null;
  /** Where it stands on Kafka, as it last came to the operators; null until it is there. */
  readonly kafka: DeadLetterPlace | null;
}

/** Which dead letters: those that fit every filter that is given. */
export interface DeadLetterFilter {
  readonly status?: DeadLetterStatus;
  readonly fingerprint?: string;
  readonly consumer?: string;
}

const COLUMNS = `id, consumer, event_id, dlq_topic, original_topic, partition, key, event, attempts, error, fingerprint, count,
  first_seen, last_seen, retry_at, status, resolved_at, resolved_by,
  (SELECT jsonb_build_object('topic', m.topic, 'partition', m.partition, 'offset', m.message_offset)
    FROM dead_letter_messages m WHERE m.error_id = error_log.id AND m.landed_at IS NOT NULL) AS kafka`;
const MATCHES = `($1::text IS NULL OR status = $1) AND ($2::text IS NULL OR fingerprint = $2) AND ($3::text IS NULL OR consumer = $3)`;

function filterValues({ status, fingerprint, consumer }: DeadLetterFilter): readonly (string | null)[] {
  return [status ?? null, fingerprint ?? null, consumer ?? null];
}

/** The last to come first. @param cursor `nextCursor` of the page before: an id */
export async function listDeadLetters(
  sql: Sql,
  filter: DeadLetterFilter,
  page: { readonly limit: number; readonly cursor?: string },
): Promise<Page<DeadLetter>> {
  const rows = await sql.query<DeadLetter>(
    `SELECT ${COLUMNS} FROM error_log WHERE ${MATCHES}
        AND ($4::uuid IS NULL OR arrival < (SELECT arrival FROM error_log WHERE id = $4))
      ORDER BY arrival DESC LIMIT $5`,
    [...filterValues(filter), page.cursor ?? null, page.limit + 1],
  );
  return pageOf(rows, page.limit, (last) => last.id);
}

export interface DeadLetterGroup {
  readonly fingerprint: string;
  readonly consumer: string;
  readonly event_type: string;
  /** Of the message seen last. */
  readonly error: string;
  readonly messages: number;
  readonly open: number;
  readonly first_seen: number;
  readonly last_seen: number;
}

/** Failures of one kind together, the largest group first. */
export function groupDeadLetters(
  sql: Sql,
  filter: DeadLetterFilter,
  limit: number,
): Promise<readonly DeadLetterGroup[]> {
  return sql.query<DeadLetterGroup>(
    `SELECT fingerprint, min(consumer) AS consumer, min(event ->> 'type') AS event_type,
        (array_agg(error ORDER BY last_seen DESC))[1] AS error, count(*) AS messages,
        count(*) FILTER (WHERE status = 'open') AS open, min(first_seen) AS first_seen, max(last_seen) AS last_seen
      FROM error_log WHERE ${MATCHES} GROUP BY fingerprint ORDER BY messages DESC, fingerprint LIMIT $4`,
    [...filterValues(filter), limit],
  );
}

export async function findDeadLetter(sql: Sql, id: string): Promise<DeadLetter | undefined> {
  const rows = await sql.query<DeadLetter>(`SELECT ${COLUMNS} FROM error_log WHERE id = $1`, [id]);
  return rows[0];
}

/** The row of a dead letter, or another of the same message: the one that there can be of an event and a service. */
export async function findDeadLetterOf(
  sql: Sql,
  letter: { readonly id: string; readonly consumer: string; readonly eventId: string },
): Promise<DeadLetter | undefined> {
  const rows = await sql.query<DeadLetter>(
    `SELECT ${COLUMNS} FROM error_log WHERE id = $1 OR (consumer = $2 AND event_id = $3) ORDER BY id = $1 DESC LIMIT 1`,
    [letter.id, letter.consumer, letter.eventId],
  );
  return rows[0];
}

/** What operators did about the failures of these events, in the order of time. */
export function settledDeadLetters(sql: Sql, eventIds: readonly string[]): Promise<readonly DeadLetter[]> {
  return sql.query<DeadLetter>(
    `SELECT ${COLUMNS} FROM error_log WHERE event_id = ANY($1::uuid[]) AND resolved_by IS NOT NULL ORDER BY resolved_at`,
    [eventIds],
  );
}

/** Hands open dead letters to their services again. Undefined `id`: those that fit the filter, the oldest first. */
export interface Replay {
  readonly id?: string;
  readonly filter?: DeadLetterFilter;
  readonly limit: number;
  readonly operator: string;
}

/**
 * Lets open dead letters be tried again, with as many attempts as a new message.
 * @returns the services that have something to do now, one entry per message
 */
export async function replayDeadLetters(
  sql: Sql,
  { id, filter = {}, limit, operator }: Replay,
): Promise<readonly string[]> {
  const rows = await sql.query<{ consumer: string }>(
    `UPDATE error_log SET status = 'retrying', attempts = 0, retry_at = now(), resolved_by = $6, resolved_at = now()
      WHERE id IN (SELECT id FROM error_log WHERE status = 'open' AND ${MATCHES} AND ($4::uuid IS NULL OR id = $4)
        ORDER BY arrival LIMIT $5 FOR UPDATE SKIP LOCKED)
      RETURNING consumer`,
    [...filterValues(filter), id ?? null, limit, operator],
  );
  return rows.map((row) => row.consumer);
}

/** Gives an open dead letter up. @returns false when it is not open */
export async function discardDeadLetter(sql: Sql, id: string, operator: string): Promise<boolean> {
  const rows = await sql.query(
    `UPDATE error_log SET status = 'discarded', retry_at = NULL, resolved_by = $2, resolved_at = now()
      WHERE id = $1 AND status = 'open' RETURNING id`,
    [id, operator],
  );
  return rows.length > 0;
}

/** How many open dead letters there are, by filter. */
export async function countOpenDeadLetters(sql: Sql, filter: DeadLetterFilter = {}): Promise<number> {
  const rows = await sql.query<{ open: number }>(`SELECT count(*) AS open FROM error_log WHERE ${MATCHES}`, [
    'open',
    filter.fingerprint ?? null,
    filter.consumer ?? null,
  ]);
  return rows[0]!.open;
}

/** Open dead letters by topic, and messages that wait for another attempt, for metrics. */
export function countFailures(sql: Sql): Promise<readonly { dlq_topic: string; open: number; retrying: number }[]> {
  return sql.query(
    `SELECT dlq_topic, count(*) FILTER (WHERE status = 'open') AS open, count(*) FILTER (WHERE status = 'retrying') AS retrying
      FROM error_log WHERE status IN ('open', 'retrying') GROUP BY dlq_topic`,
  );
}
