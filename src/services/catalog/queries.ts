import type { RowSource } from '#kernel/cache/row-cache.ts';
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
export async function findProduct(products: RowSource<ProductRow>, idOrSku: string): Promise<ProductRow | undefined> {
  const byId = isUuid(idOrSku) ? await products.get(idOrSku) : undefined;
  return byId ?? products.get(productIdOf(idOrSku));
}

/** Those of the products with these ids that there are. */
export function loadProducts(sql: Sql, ids: readonly string[]): Promise<readonly ProductRow[]> {
  return sql.query<ProductRow>(`SELECT ${COLUMNS} FROM catalog.products WHERE product_id = ANY($1::uuid[])`, [ids]);
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
