import type { Sql } from '#kernel/postgres/sql.ts';
import type { OperationKind } from './contract.ts';
import type { OperationRow } from './projections.ts';

/** Names a charge or a refund. */
export interface OperationRef {
  readonly id: string;
  readonly kind: OperationKind;
}

/** A due operation that was claimed. */
export interface ClaimedOperation extends OperationRow {
  /** An attempt was begun before and never recorded: a call may have been made that nobody knows of. */
  readonly abandoned: boolean;
}

/** The charges and refunds that are not answered, as processes that share them see them. Times: milliseconds since 1970. */
export interface WorkList {
  /** Takes what is due, soonest first, and keeps others from it until `leaseUntil`. */
  claimDue(options: ClaimOptions): Promise<readonly ClaimedOperation[]>;
  /** Keeps others from what is still in hand; what was answered or scheduled meanwhile is left alone. */
  extendLeases(operations: readonly OperationRef[], now: number, leaseUntil: number): Promise<void>;
  find(operation: OperationRef): Promise<OperationRow | undefined>;
}

export interface ClaimOptions {
  /** The provider's name. */
  readonly gateway: string;
  readonly now: number;
  readonly limit: number;
  readonly leaseUntil: number;
  /** Only what certainly moved nothing and was requested before this: what can be given up without asking the gateway. */
  readonly onlyGivenUpBefore?: number;
}

/** The work list in PostgreSQL. */
export function createWorkList(sql: Sql): WorkList {
  return {
    claimDue: (options) => claimDue(sql, options),
    extendLeases: (operations, now, leaseUntil) => extendLeases(sql, operations, now, leaseUntil),
    find: async ({ id, kind }) => {
      const rows = await sql.query<OperationRow>('SELECT * FROM gateway.operations WHERE id = $1 AND kind = $2', [
        id,
        kind,
      ]);
      return rows[0];
    },
  };
}

/**
 * One statement, so that two processes never claim the same row: each skips what the other is claiming. `claimed_attempt`
 * is written here only; that it still is what `attempts` is shows that the attempt was never recorded. The first attempt
 * is made from memory, without a claim: both are 0 then.
 */
async function claimDue(sql: Sql, options: ClaimOptions): Promise<readonly ClaimedOperation[]> {
  const { gateway, now, limit, leaseUntil, onlyGivenUpBefore } = options;
  const text = `
    UPDATE gateway.operations AS claimed
    SET next_attempt_at = $3, claimed_attempt = claimed.attempts
    FROM (
      SELECT id, kind, claimed_attempt = attempts AS abandoned FROM gateway.operations
      WHERE next_attempt_at <= $1 AND gateway = $5
        AND ($4::timestamptz IS NULL OR (state = 'not_taken' AND claimed_attempt < attempts AND requested_at <= $4))
      ORDER BY next_attempt_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ) AS due
    WHERE claimed.id = due.id AND claimed.kind = due.kind
    RETURNING claimed.*, due.abandoned`;
  const cutoff = onlyGivenUpBefore === undefined ? null : new Date(onlyGivenUpBefore);
  return sql.query<ClaimedOperation>(text, [new Date(now), limit, new Date(leaseUntil), cutoff, gateway]);
}

/** Skips locked rows: one that is being written gets its next attempt there, and waiting for it could end in a deadlock. */
async function extendLeases(
  sql: Sql,
  operations: readonly OperationRef[],
  now: number,
  leaseUntil: number,
): Promise<void> {
  const text = `
    UPDATE gateway.operations AS held SET next_attempt_at = $3
    FROM (
      SELECT id, kind FROM gateway.operations
      JOIN unnest($1::uuid[], $2::text[]) AS wanted (id, kind) USING (id, kind)
      WHERE next_attempt_at > $4 AND next_attempt_at < $3
      FOR UPDATE OF operations SKIP LOCKED
    ) AS own
    WHERE held.id = own.id AND held.kind = own.kind`;
  const ids = operations.map(({ id }) => id);
  const kinds = operations.map(({ kind }) => kind);
  await sql.query(text, [ids, kinds, new Date(leaseUntil), new Date(now)]);
}

/** What the platform believes was moved for one payment, in minor units. */
export interface BelievedCharge {
  readonly payment_id: string;
  readonly currency: string;
  readonly taken_minor: number;
  readonly refunded_minor: number;
  /** True while a charge or a refund of it is not answered. */
  readonly open: boolean;
}

/** What the platform believes of payments with ids after `after`, in order of their ids; at most `limit`. */
export function believedCharges(sql: Sql, after: string | null, limit: number): Promise<readonly BelievedCharge[]> {
  const text = `
    SELECT c.id AS payment_id, c.currency,
      CASE WHEN c.status = 'SUCCESS' THEN c.amount_minor ELSE 0 END AS taken_minor,
      coalesce(r.refunded_minor, 0)::bigint AS refunded_minor,
      c.next_attempt_at IS NOT NULL OR coalesce(r.open, false) AS open
    FROM gateway.operations c
    LEFT JOIN LATERAL (
      SELECT sum(amount_minor) FILTER (WHERE status = 'SUCCESS') AS refunded_minor, bool_or(next_attempt_at IS NOT NULL) AS open
      FROM gateway.operations WHERE kind = 'refund' AND payment_id = c.id
    ) r ON true
    WHERE c.kind = 'charge' AND ($1::uuid IS NULL OR c.id > $1)
    ORDER BY c.id LIMIT $2`;
  return sql.query<BelievedCharge>(text, [after, limit]);
}
