import { Type } from '@sinclair/typebox';
import { defineEvent } from '#kernel/core/event.ts';
import { isUuid, namedUuid } from '#kernel/core/ids.ts';
import { currency, oneOf, text, timestamp, traceId, uuid } from '#kernel/core/schemas.ts';

/** The aggregate type of products: one stream per SKU. */
export const PRODUCT = 'product';

/** The product of a SKU: there is at most one, and its id follows from the SKU. */
export function productIdOf(sku: string): string {
  return namedUuid('product', sku);
}

/** The id of a product that a client names by its id or its SKU. */
export function productIdFrom(idOrSku: string): string {
  return isUuid(idOrSku) ? idOrSku : productIdOf(idOrSku);
}

/** `INACTIVE` products are shown and not sold. */
export const LISTED_STATUSES = ['ACTIVE', 'INACTIVE'] as const;
/** Deleted ones are neither, but what was sold of them still knows them. */
export const PRODUCT_STATUSES = [...LISTED_STATUSES, 'DELETED'] as const;
export type ProductStatus = (typeof PRODUCT_STATUSES)[number];

/** What an update can change. */
export const PRODUCT_FIELDS = ['name', 'description', 'price', 'currency', 'status'] as const;
export type ProductField = (typeof PRODUCT_FIELDS)[number];

/** Characters. */
export const MAX_SKU = 64;
export const MAX_DESCRIPTION = 4000;

const product = {
  product_id: uuid(),
  sku: text('stock keeping unit, the name that the shop knows it by', MAX_SKU),
  name: text('for people'),
  description: Type.Optional(text('for people', MAX_DESCRIPTION)),
  price: Type.Number({ exclusiveMinimum: 0, description: 'of one unit, in major units' }),
  price_minor: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, description: 'in minor units, exact' }),
  currency: currency(),
  status: oneOf(LISTED_STATUSES),
  trace_id: traceId(),
};

export const productCreated = defineEvent({
  type: 'product.created',
  version: 1,
  description: 'A product came into the catalog, or came back after it had been deleted.',
  schema: Type.Object({ ...product, created_at: timestamp('when') }, { additionalProperties: false }),
});

export const productUpdated = defineEvent({
  type: 'product.updated',
  version: 1,
  description: 'A product was changed: all of it as it is now, and what is new.',
  schema: Type.Object(
    {
      ...product,
      changed: Type.Array(oneOf(PRODUCT_FIELDS), { minItems: 1, maxItems: PRODUCT_FIELDS.length }),
      updated_at: timestamp('when'),
    },
    { additionalProperties: false },
  ),
});

export const productDeleted = defineEvent({
  type: 'product.deleted',
  version: 1,
  description: 'A product was taken out of the catalog. What was sold of it stays as it was.',
  schema: Type.Object(
    { product_id: uuid(), sku: product.sku, trace_id: traceId(), deleted_at: timestamp('when') },
    { additionalProperties: false },
  ),
});
