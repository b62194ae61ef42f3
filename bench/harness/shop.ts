import type { Sql } from '#kernel/postgres/sql.ts';
import { productIdOf } from '#services/catalog/contract.ts';
import { type Client, createClient } from '../../src/cli/client.ts';
import { createLanes } from '../../src/cli/lanes.ts';
import type { PurchasePlan } from '../load/protocol.ts';
import { CURRENCY } from './wallets.ts';

export type BenchProduct = PurchasePlan['products'][number];

const CONNECTIONS = 32;
/** Prices are of these, minor units. */
const LEAST_MINOR = 100;
const PRICES = 900;

/** So many products. @param name what their SKUs begin with */
export function productsOf(count: number, name = 'bench'): readonly BenchProduct[] {
  return Array.from({ length: count }, (_, i) => ({
    sku: `${name}-${String(i + 1).padStart(5, '0')}`,
    priceMinor: LEAST_MINOR + ((i * 37) % PRICES),
  }));
}

/** Puts the products into the catalog, with so many units of each. */
export async function openShop(url: string, products: readonly BenchProduct[], units: number): Promise<void> {
  const client = createClient(url, CONNECTIONS);
  const lanes = createLanes(CONNECTIONS);
  for (const product of products) await lanes.put(product.sku, () => putOnSale(client, product, units));
  await lanes.finish();
  client.close();
}

async function putOnSale(client: Client, { sku, priceMinor }: BenchProduct, units: number): Promise<void> {
  await client.post('/products', { sku, name: `Product ${sku}`, price: priceMinor / 100, currency: CURRENCY });
  await client.post(`/inventory/${sku}/adjustments`, { change: units, reason: 'delivery', reference: 'opening' });
}

/**
 * Whether of each product exactly what was sold is gone, and nothing is kept for anybody.
 * @param units that there were of each
 * @returns the SKUs of which that is not so
 */
export async function wrongStock(
  sql: Sql,
  products: readonly BenchProduct[],
  units: number,
): Promise<readonly string[]> {
  const rows = await sql.query<{ product_id: string; on_hand: number; reserved: number }>(
    'SELECT product_id, on_hand, reserved FROM inventory.stock',
  );
  const sold = await sql.query<{ product_id: string; sold: number }>(
    `SELECT l ->> 'productId' AS product_id, sum((l ->> 'quantity')::bigint)::bigint AS sold
      FROM purchases.purchases, jsonb_array_elements(lines) AS l WHERE status = 'COMPLETED' GROUP BY 1`,
  );
  const stock = new Map(rows.map((row) => [row.product_id, row]));
  const soldOf = new Map(sold.map((row) => [row.product_id, row.sold]));
  return products
    .map(({ sku }) => sku)
    .filter((sku) => {
      const id = productIdOf(sku);
      const left = stock.get(id);
      return left?.on_hand !== units - (soldOf.get(id) ?? 0) || left.reserved !== 0;
    });
}
