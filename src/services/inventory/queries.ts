import type { Page } from '#kernel/core/page.ts';
import { pageOf } from '#kernel/core/page.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import { STOCK_TABLE, type StockRow } from './projections.ts';

const COLUMNS = Object.keys(STOCK_TABLE.columns).join(', ');

/** The stock of those of the products with these ids of which something is known. */
export function loadStock(sql: Sql, productIds: readonly string[]): Promise<readonly StockRow[]> {
  return sql.query<StockRow>(`SELECT ${COLUMNS} FROM inventory.stock WHERE product_id = ANY($1::uuid[])`, [productIds]);
}

interface AlertFilter {
  readonly limit: number;
  /** `nextCursor` of the page before: a product's id. */
  readonly cursor?: string;
}

/** Products that are low or out of stock, by id. */
export async function listAlerts(sql: Sql, { limit, cursor }: AlertFilter): Promise<Page<StockRow>> {
  const rows = await sql.query<StockRow>(
    `SELECT ${COLUMNS} FROM inventory.stock
      WHERE (low_since IS NOT NULL OR out_since IS NOT NULL) AND ($1::uuid IS NULL OR product_id > $1)
      ORDER BY product_id LIMIT $2`,
    [cursor ?? null, limit + 1],
  );
  return pageOf(rows, limit, (last) => last.product_id);
}

/** A reservation that is past its time. */
export interface DueReservation {
  readonly productId: string;
  readonly purchaseId: string;
}

/** Reservations that are past their time at `now` (milliseconds since 1970), the longest first. */
export async function dueReservations(sql: Sql, now: number, limit: number): Promise<readonly DueReservation[]> {
  const rows = await sql.query<{ product_id: string; purchase_id: string }>(
    `SELECT product_id, purchase_id FROM inventory.reservations
      WHERE expires_at <= $1 ORDER BY expires_at, product_id LIMIT $2`,
    [new Date(now), limit],
  );
  return rows.map(({ product_id: productId, purchase_id: purchaseId }) => ({ productId, purchaseId }));
}
