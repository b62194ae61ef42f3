import type { Sql } from '#kernel/postgres/sql.ts';
import type { BrokenInvariant } from './alert.decider.ts';

/** Something that was found to be broken. */
export interface FoundBroken {
  readonly invariant: string;
  /** What is wrong and where, for a person. */
  readonly message: string;
  readonly eventId?: string;
  readonly subject?: string;
}

/** A finding as operators see it. */
export interface FindingRow {
  readonly id: number;
  readonly invariant: string;
  readonly message: string;
  readonly event_id: string | null;
  /** Milliseconds since 1970. */
  readonly found_at: number;
}

/** Whoever has so many open findings needs no more of them: what is found then is not kept. */
const MAX_OPEN_FINDINGS = 1000;

/**
 * Keeps what was found, each subject of an invariant once, until it is settled.
 * @returns what is new
 */
export async function keepFindings(sql: Sql, findings: readonly FoundBroken[]): Promise<readonly FindingRow[]> {
  const bySubject = new Map<string, readonly (string | null)[]>();
  for (const { invariant, message, eventId = null, subject = eventId ?? '' } of findings) {
    const key = `${invariant} ${subject}`;
    if (!bySubject.has(key)) bySubject.set(key, [invariant, subject, message, eventId]);
  }
  const rows = [...bySubject.values()];
  return sql.query<FindingRow>(
    `INSERT INTO metrics.findings AS f (invariant, subject, message, event_id)
      SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
      LIMIT greatest(0, $5::bigint - (SELECT count(*) FROM metrics.findings WHERE settled_at IS NULL))
      ON CONFLICT (invariant, subject) DO UPDATE SET message = excluded.message, event_id = excluded.event_id,
        found_at = now(), settled_at = NULL WHERE f.settled_at IS NOT NULL
      RETURNING id, invariant, message, event_id, found_at`,
    [...[0, 1, 2, 3].map((column) => rows.map((row) => row[column])), MAX_OPEN_FINDINGS],
  );
}

/** Open findings, the oldest first: there are never many. */
export function openFindings(sql: Sql): Promise<readonly FindingRow[]> {
  return sql.query<FindingRow>(
    'SELECT id, invariant, message, event_id, found_at FROM metrics.findings WHERE settled_at IS NULL ORDER BY id',
  );
}

/** How many findings of each invariant are open, and the first of each; the oldest invariant first. */
export function brokenInvariants(sql: Sql): Promise<readonly BrokenInvariant[]> {
  return sql.query<BrokenInvariant>(
    `SELECT invariant, count(*) AS count, (array_agg(message ORDER BY id))[1] AS message
      FROM metrics.findings WHERE settled_at IS NULL GROUP BY invariant ORDER BY min(id)`,
  );
}

/**
 * Settles open findings: an operator has seen to them.
 * @param id one of them; undefined: all
 * @returns how many were open
 */
export async function settleFindings(sql: Sql, id: number | undefined): Promise<number> {
  const rows = await sql.query(
    `UPDATE metrics.findings SET settled_at = now() WHERE settled_at IS NULL AND ($1::bigint IS NULL OR id = $1) RETURNING 1`,
    [id ?? null],
  );
  return rows.length;
}
