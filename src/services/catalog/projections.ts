import type { RecordedEvent } from '#kernel/core/event.ts';
import type { RowProjection } from '#kernel/core/projection.ts';
import type { TableDefinition } from '#kernel/core/table.ts';
import type { ProductStatus } from './contract.ts';
import { type ProductEvent, type ProductState, productDecider } from './decider.ts';

/** A product as it is read. Times in milliseconds since 1970. */
export type ProductRow = {
  readonly product_id: string;
  readonly sku: string;
  readonly name: string;
  readonly description: string | null;
  readonly price_minor: number;
  readonly currency: string;
  readonly status: ProductStatus;
  readonly created_at: number;
  readonly updated_at: number;
  /** The stream position of the last change. */
  readonly version: number;
};

/** The table of `ProductRow`. */
export const PRODUCT_TABLE: TableDefinition = {
  name: 'catalog.products',
  columns: {
    product_id: 'uuid',
    sku: 'text',
    name: 'text',
    description: 'text',
    price_minor: 'bigint',
    currency: 'text',
    status: 'text',
    created_at: 'timestamptz',
    updated_at: 'timestamptz',
    version: 'bigint',
  },
  key: ['product_id'],
};

/** Products, written with their changes: what is read is what was decided. */
export const products: RowProjection<ProductRow> = {
  kind: 'rows',
  name: 'products',
  table: PRODUCT_TABLE,
  events: ['product.created', 'product.updated', 'product.deleted'],
  key: (event) => [event.aggregateId],
  startsRow: (event) => event.streamPosition === 1,
  evolve: evolveRow,
};

function evolveRow(row: ProductRow | undefined, recorded: RecordedEvent): ProductRow {
  const before = row === undefined ? productDecider.initial : productOf(row);
  const { id, sku, name, description, priceMinor, currency, status, createdAt, updatedAt } = productDecider.evolve(
    before,
    recorded as RecordedEvent & ProductEvent,
  );
  return {
    product_id: id,
    sku,
    name,
    description,
    price_minor: priceMinor,
    currency,
    status,
    created_at: createdAt,
    updated_at: updatedAt,
    version: recorded.streamPosition,
  };
}

/** The product that a row shows. */
export function productOf(row: ProductRow): ProductState {
  return {
    id: row.product_id,
    sku: row.sku,
    name: row.name,
    description: row.description,
    priceMinor: row.price_minor,
    currency: row.currency,
    status: row.status,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
