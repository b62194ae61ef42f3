import { uuidFloor } from '#kernel/core/ids.ts';
import type { Page } from '#kernel/core/page.ts';
import { pageOf } from '#kernel/core/page.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import type { PaymentMethod, PaymentStatus, SagaState } from './contract.ts';
import { REFUND_TABLE, type RefundRow, SAGA_TABLE, type SagaRow } from './projections.ts';

const SAGA_COLUMNS = Object.keys(SAGA_TABLE.columns).join(', ');
const REFUND_COLUMNS = Object.keys(REFUND_TABLE.columns).join(', ');

/** The payment with this id (a UUID), as far as the read model has come. */
export async function findPayment(sql: Sql, paymentId: string): Promise<SagaRow | undefined> {
  const rows = await sql.query<SagaRow>(`SELECT ${SAGA_COLUMNS} FROM payments.saga_projections WHERE payment_id = $1`, [
    paymentId,
  ]);
  return rows[0];
}

export interface PaymentFilter {
  readonly customerId?: string;
  readonly status?: PaymentStatus;
  readonly method?: PaymentMethod;
  /** Created at or after, milliseconds since 1970. */
  readonly from?: number;
  /** Created before, milliseconds since 1970. */
  readonly to?: number;
  readonly limit: number;
  /** `nextCursor` of the page before: a payment's id. */
  readonly cursor?: string;
}

/** Payments, newest first. Their ids are UUIDv7, so the order, the cursor and the times are all the primary key. */
export async function listPayments(sql: Sql, filter: PaymentFilter): Promise<Page<SagaRow>> {
  // Every pending payment waits for something: the redundant condition leads to the small index of open sagas.
  const rows = await sql.query<SagaRow>(
    `SELECT ${SAGA_COLUMNS} FROM payments.saga_projections
      WHERE ($1::text IS NULL OR customer_id = $1) AND ($2::text IS NULL OR status = $2)
        AND ($2::text IS DISTINCT FROM 'PENDING' OR deadline_at IS NOT NULL)
        AND ($3::text IS NULL OR method = $3) AND ($4::uuid IS NULL OR payment_id >= $4)
        AND ($5::uuid IS NULL OR payment_id < $5) AND ($6::uuid IS NULL OR payment_id < $6)
      ORDER BY payment_id DESC LIMIT $7`,
    [
      filter.customerId ?? null,
      filter.status ?? null,
      filter.method ?? null,
      filter.from === undefined ? null : uuidFloor(filter.from),
      filter.to === undefined ? null : uuidFloor(filter.to),
      filter.cursor ?? null,
      filter.limit + 1,
    ],
  );
  return pageOf(rows, filter.limit, (last) => last.payment_id);
}

/** Every refund of a payment, oldest first: at most `maxRefundsPerPayment`. */
export function listRefunds(sql: Sql, paymentId: string): Promise<readonly RefundRow[]> {
  return sql.query<RefundRow>(
    `SELECT ${REFUND_COLUMNS} FROM payments.refunds WHERE payment_id = $1 ORDER BY requested_at, refund_id`,
    [paymentId],
  );
}

/** What makes a saga stuck at a moment ($1): a step past its deadline or tried again, of the payment or of a refund. */
const STUCK = `
  SELECT payment_id, coalesce(stuck_reason, 'deadline_passed') AS why FROM payments.saga_projections
    WHERE deadline_at IS NOT NULL AND (deadline_at <= $1 OR stuck_reason IS NOT NULL)
  UNION ALL SELECT DISTINCT payment_id, 'refund_not_answered' FROM payments.refunds
    WHERE deadline_at IS NOT NULL AND (deadline_at <= $1 OR attempt > 1)`;

export interface SagaFilter {
  readonly state?: SagaState;
  /** Only those that are stuck; each then has a `stuck_reason`. */
  readonly stuck?: boolean;
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly limit: number;
  /** `nextCursor` of the page before: a payment's id. */
  readonly cursor?: string;
}

/** Sagas, newest first. */
export async function listSagas(sql: Sql, filter: SagaFilter): Promise<Page<SagaRow>> {
  const { state = null, cursor = null, limit } = filter;
  const rows = await (filter.stuck
    ? sql.query<SagaRow>(
        `SELECT ${SAGA_COLUMNS.replace('stuck_reason', 's.why AS stuck_reason')}
          FROM payments.saga_projections JOIN (${STUCK}) s USING (payment_id)
          WHERE ($2::text IS NULL OR saga_state = $2) AND ($3::uuid IS NULL OR payment_id < $3)
          ORDER BY payment_id DESC LIMIT $4`,
        [new Date(filter.now), state, cursor, limit + 1],
      )
    : sql.query<SagaRow>(
        `SELECT ${SAGA_COLUMNS} FROM payments.saga_projections
          WHERE ($1::text IS NULL OR saga_state = $1)
            AND ($1::text IS NULL OR $1 IN ('COMPLETED', 'FAILED', 'COMPENSATED') OR deadline_at IS NOT NULL)
            AND ($2::uuid IS NULL OR payment_id < $2)
          ORDER BY payment_id DESC LIMIT $3`,
        [state, cursor, limit + 1],
      ));
  return pageOf(rows, limit, (last) => last.payment_id);
}

/** How many sagas are stuck at `now` (milliseconds since 1970). */
export async function countStuckSagas(sql: Sql, now: number): Promise<number> {
  const rows = await sql.query<{ stuck: number }>(`SELECT count(*) AS stuck FROM (${STUCK}) s`, [new Date(now)]);
  return rows[0]?.stuck ?? 0;
}

/** The ids of payments of which a step or a refund is past its deadline, the longest overdue first. */
export async function dueSagas(sql: Sql, now: number, limit: number): Promise<readonly string[]> {
  const rows = await sql.query<{ payment_id: string }>(
    `SELECT payment_id FROM (
        (SELECT payment_id, deadline_at FROM payments.saga_projections WHERE deadline_at <= $1 ORDER BY deadline_at LIMIT $2)
        UNION ALL
        (SELECT payment_id, deadline_at FROM payments.refunds WHERE deadline_at <= $1 ORDER BY deadline_at LIMIT $2)) due
      GROUP BY payment_id ORDER BY min(deadline_at) LIMIT $2`,
    [new Date(now), limit],
  );
  return rows.map((row) => row.payment_id);
}
