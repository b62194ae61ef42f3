import type { Page } from '#kernel/core/page.ts';
import { pageOf } from '#kernel/core/page.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import type { PurchaseStatus } from './contract.ts';
import { OFFER_TABLE, type OfferRow, PURCHASE_TABLE, type PurchaseRow } from './projections.ts';

const PURCHASE_COLUMNS = Object.keys(PURCHASE_TABLE.columns).join(', ');
const OFFER_COLUMNS = Object.keys(OFFER_TABLE.columns).join(', ');

/** What is known of these products. */
export function findOffers(sql: Sql, productIds: readonly string[]): Promise<readonly OfferRow[]> {
  return sql.query<OfferRow>(`SELECT ${OFFER_COLUMNS} FROM purchases.offers WHERE product_id = ANY($1::uuid[])`, [
    productIds,
  ]);
}

/** The purchase with this id (a UUID), as far as the read model has come. */
export async function findPurchase(sql: Sql, purchaseId: string): Promise<PurchaseRow | undefined> {
  const [row] = await sql.query<PurchaseRow>(
    `SELECT ${PURCHASE_COLUMNS} FROM purchases.purchases WHERE purchase_id = $1`,
    [purchaseId],
  );
  return row;
}

interface PurchaseFilter {
  readonly customerId?: string;
  readonly reference?: string;
  readonly status?: PurchaseStatus;
  /** True: only those of which something takes longer than it should, at `now` (milliseconds since 1970). */
  readonly stuck?: boolean;
  readonly now: number;
  readonly limit: number;
  /** `nextCursor` of the page before: a purchase's id. */
  readonly cursor?: string;
}

/** Purchases, newest first: their ids are UUIDv7. */
export async function listPurchases(sql: Sql, filter: PurchaseFilter): Promise<Page<PurchaseRow>> {
  const { customerId = null, reference = null, status = null, stuck = false, now, limit, cursor = null } = filter;
  // Whatever is under way waits for something: the redundant condition leads to the small index of open purchases.
  const rows = await sql.query<PurchaseRow>(
    `SELECT ${PURCHASE_COLUMNS} FROM purchases.purchases
      WHERE ($1::text IS NULL OR customer_id = $1) AND ($2::text IS NULL OR status = $2)
        AND (coalesce($2::text NOT IN ('PENDING', 'CONFIRMED'), true) OR deadline_at IS NOT NULL)
        AND (NOT $3 OR deadline_at <= $4 OR stuck_reason IS NOT NULL)
        AND ($5::uuid IS NULL OR purchase_id < $5) AND ($6::text IS NULL OR reference = $6)
      ORDER BY purchase_id DESC LIMIT $7`,
    [customerId, status, stuck, new Date(now), cursor, reference, limit + 1],
  );
  return pageOf(rows, limit, (last) => last.purchase_id);
}

/** How many purchases are stuck at `now` (milliseconds since 1970): something takes longer than it should. */
export async function countStuckPurchases(sql: Sql, now: number): Promise<number> {
  const [row] = await sql.query<{ stuck: number }>(
    'SELECT count(*) AS stuck FROM purchases.purchases WHERE deadline_at <= $1 OR stuck_reason IS NOT NULL',
    [new Date(now)],
  );
  return row?.stuck ?? 0;
}

/** The ids of purchases of which a step or a refund is past its deadline at `now`, the longest overdue first. */
export async function duePurchases(sql: Sql, now: number, limit: number): Promise<readonly string[]> {
  const rows = await sql.query<{ purchase_id: string }>(
    'SELECT purchase_id FROM purchases.purchases WHERE deadline_at <= $1 ORDER BY deadline_at LIMIT $2',
    [new Date(now), limit],
  );
  return rows.map((row) => row.purchase_id);
}
