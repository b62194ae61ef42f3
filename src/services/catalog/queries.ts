import { isUuid } from '#kernel/core/ids.ts';
import type { Page } from '#kernel/core/page.ts';
import { pageOf } from '#kernel/core/page.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import { type ProductStatus, productIdOf } from './contract.ts';
import { PRODUCT_TABLE, type ProductRow } from './projections.ts';

const COLUMNS = Object.keys(PRODUCT_TABLE.columns).join(', ');
/** Of a search; what comes after these is left out. */
const MAX_WORDS = 10;

/** The product with this id, or of this SKU, also when it was deleted. */
export async function findProduct(sql: Sql, idOrSku: string): Promise<ProductRow | undefined> {
  const ofSku = productIdOf(idOrSku);
  const ids = isUuid(idOrSku) ? [idOrSku, ofSku] : [ofSku];
  const rows = await sql.query<ProductRow>(
    `SELECT ${COLUMNS} FROM catalog.products WHERE product_id = ANY($1::uuid[])`,
    [ids],
  );
  return rows.find((row) => row.product_id === idOrSku) ?? rows[0];
}

export interface ProductFilter {
  /** Words, or beginnings of words, of SKU, name and description: a product has all of them. */
  readonly q?: string;
  /** When absent: all but the deleted ones. */
  readonly status?: ProductStatus;
  readonly limit: number;
  /** `nextCursor` of the page before: a SKU. */
  readonly cursor?: string;
}

/** Products by SKU. */
export async function listProducts(sql: Sql, filter: ProductFilter): Promise<Page<ProductRow>> {
  const { q, status = null, limit, cursor = null } = filter;
  const search = q === undefined ? null : searchOf(q);
  if (search === '') return { data: [], nextCursor: null };
  const rows = await sql.query<ProductRow>(
    `SELECT ${COLUMNS} FROM catalog.products
      WHERE ($1::text IS NULL OR words @@ to_tsquery('simple', $1)) AND ($2::text IS NULL OR sku > $2)
        AND CASE WHEN $3::text IS NULL THEN status <> 'DELETED' ELSE status = $3 END
      ORDER BY sku LIMIT $4`,
    [search, cursor, status, limit + 1],
  );
  return pageOf(rows, limit, (last) => last.sku);
}

/** As PostgreSQL's text search has it; empty when there is no word. */
function searchOf(q: string): string {
  const words = q.match(/[\p{L}\p{N}]+/gu) ?? [];
  return words
    .slice(0, MAX_WORDS)
    .map((word) => `${word}:*`)
    .join(' & ');
}
