import type { CacheResult, RowSource, VersionedRow } from '#kernel/cache/row-cache.ts';
import { createRowCache } from '#kernel/cache/row-cache.ts';
import type { RowProjection } from '#kernel/core/projection.ts';
import { createLookup } from '#kernel/postgres/lookup.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import { PRODUCT } from '#services/catalog/contract.ts';
import { type ProductRow, products } from '#services/catalog/projections.ts';
import { loadProducts } from '#services/catalog/queries.ts';
import { STOCK } from '#services/inventory/contract.ts';
import { type StockRow, stock } from '#services/inventory/projections.ts';
import { loadStock } from '#services/inventory/queries.ts';
import { WALLET } from '#services/wallets/contract.ts';
import { type WalletRow, walletBalances } from '#services/wallets/projections.ts';
import { loadWallets } from '#services/wallets/queries.ts';
import type { Config, ServiceName } from '#src/config.ts';
import type { Kernel } from './kernel.ts';

interface Parts {
  readonly config: Config;
  readonly kernelOf: (service: ServiceName) => Kernel;
  readonly sqlOf: (service: ServiceName) => Sql;
  readonly observe: (cache: string, result: CacheResult) => void;
}

/** A read model that is looked up row by row, and its cache. */
interface Cached<Row extends VersionedRow> {
  readonly service: ServiceName;
  readonly name: string;
  readonly aggregateType: string;
  readonly projection: RowProjection<Row>;
  load(sql: Sql, ids: readonly string[]): Promise<readonly Row[]>;
  idOf(row: Row): string;
}

const WALLETS: Cached<WalletRow> = {
  service: 'wallets',
  name: 'wallets',
  aggregateType: WALLET,
  projection: walletBalances,
  load: loadWallets,
  idOf: (row) => row.wallet_id,
};
const PRODUCTS: Cached<ProductRow> = {
  service: 'catalog',
  name: 'products',
  aggregateType: PRODUCT,
  projection: products,
  load: loadProducts,
  idOf: (row) => row.product_id,
};
const STOCKS: Cached<StockRow> = {
  service: 'inventory',
  name: 'stock',
  aggregateType: STOCK,
  projection: stock,
  load: loadStock,
  idOf: (row) => row.product_id,
};

/** What is looked up often, row by row. */
export interface Caches {
  wallets(): RowSource<WalletRow>;
  products(): RowSource<ProductRow>;
  stock(): RowSource<StockRow>;
}

export function createCaches(parts: Parts): Caches {
  return {
    wallets: () => open(parts, WALLETS),
    products: () => open(parts, PRODUCTS),
    stock: () => open(parts, STOCKS),
  };
}

function open<Row extends VersionedRow>(
  { config, kernelOf, sqlOf, observe }: Parts,
  cached: Cached<Row>,
): RowSource<Row> {
  const { service, name, aggregateType, projection, load, idOf } = cached;
  const { tail, backend } = kernelOf(service);
  const sql = sqlOf(service);
  const lookup = createLookup((ids) => load(sql, ids), idOf);
  const settings = {
    name,
    aggregateType,
    projection,
    maxRows: config.cacheRows,
    ttlMs: config.cacheTtlMs,
    maxTtlMs: config.cacheMaxTtlMs,
    missingTtlMs: config.cacheMissingTtlMs,
  };
  return createRowCache(settings, { tail, lookup, clock: backend.clock, monotonic: () => performance.now(), observe });
}
