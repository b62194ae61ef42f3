import { type Static, Type } from '@sinclair/typebox';
import { toMajor } from '#kernel/core/money.ts';
import { oneOf } from '#kernel/core/schemas.ts';
import { toTimestamp } from '#kernel/core/timestamp.ts';
import { nullableText } from '#kernel/http/operation.ts';
import { PRODUCT_STATUSES } from './contract.ts';
import type { ProductState } from './decider.ts';

export const productSchema = Type.Object({
  id: Type.String(),
  sku: Type.String(),
  name: Type.String(),
  description: nullableText(),
  price: Type.Number({ description: 'of one unit, in major units' }),
  price_minor: Type.Integer({ description: 'in minor units, exact' }),
  currency: Type.String(),
  status: oneOf(PRODUCT_STATUSES),
  created_at: Type.String(),
  updated_at: Type.String(),
});

export function productView(product: ProductState): Static<typeof productSchema> {
  const { id, sku, name, description, priceMinor, currency, status, createdAt, updatedAt } = product;
  return {
    id,
    sku,
    name,
    description,
    price: toMajor(priceMinor, currency),
    price_minor: priceMinor,
    currency,
    status,
    created_at: toTimestamp(createdAt),
    updated_at: toTimestamp(updatedAt),
  };
}
