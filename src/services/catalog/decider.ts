import type { Decider } from '#kernel/core/decider.ts';
import type { EventOf } from '#kernel/core/event.ts';
import { invariant } from '#kernel/core/invariant.ts';
import { toMajor } from '#kernel/core/money.ts';
import type { Result } from '#kernel/core/result.ts';
import { accept, refuse } from '#kernel/core/result.ts';
import { fromTimestamp, toTimestamp } from '#kernel/core/timestamp.ts';
import {
  PRODUCT,
  PRODUCT_FIELDS,
  type ProductField,
  type ProductStatus,
  type productCreated,
  type productDeleted,
  type productUpdated,
} from './contract.ts';

/** Everything that the stream of a product can hold. */
export type ProductEvent = EventOf<typeof productCreated | typeof productUpdated | typeof productDeleted>;

/** What clients say of a product. */
export interface ProductDetails {
  readonly name: string;
  readonly description: string | null;
  /** Of one unit. */
  readonly priceMinor: number;
  readonly currency: string;
  readonly status: Exclude<ProductStatus, 'DELETED'>;
}

/** A product. `id` is empty until it was created. Times in milliseconds since 1970. */
export interface ProductState extends Omit<ProductDetails, 'status'> {
  readonly id: string;
  readonly sku: string;
  readonly status: ProductStatus;
  readonly createdAt: number;
  readonly updatedAt: number;
}

interface Traced {
  readonly traceId: string;
}

export interface CreateProduct extends ProductDetails, Traced {
  readonly type: 'CreateProduct';
  /** `productIdOf(sku)`: also the id of the stream. */
  readonly productId: string;
  readonly sku: string;
}

/** All that can be changed, as it is to be. */
export interface UpdateProduct extends ProductDetails, Traced {
  readonly type: 'UpdateProduct';
}

export interface DeleteProduct extends Traced {
  readonly type: 'DeleteProduct';
}

export type ProductCommand = CreateProduct | UpdateProduct | DeleteProduct;

const NO_PRODUCT: ProductState = {
  id: '',
  sku: '',
  name: '',
  description: null,
  priceMinor: 0,
  currency: '',
  status: 'DELETED',
  createdAt: 0,
  updatedAt: 0,
};

/** The aggregate of products. Refusals: `product_already_exists`, `product_not_found`. */
export const productDecider: Decider<ProductState, ProductCommand, ProductEvent> = {
  aggregate: PRODUCT,
  stateVersion: 1,
  initial: NO_PRODUCT,
  evolve,
  decide: (command, state, { now }) => decide(command, state, now),
};

function decide(command: ProductCommand, state: ProductState, now: number): Result<readonly ProductEvent[]> {
  if (command.type === 'CreateProduct') return create(command, state, now);
  if (state.status === 'DELETED') return refuse('product_not_found', 'there is no such product');
  return accept(command.type === 'UpdateProduct' ? update(command, state, now) : [remove(command, state, now)]);
}

function create(command: CreateProduct, state: ProductState, now: number): Result<readonly ProductEvent[]> {
  const { productId, sku } = command;
  if (state.status !== 'DELETED')
    return refuse('product_already_exists', `there is a product of the SKU ${JSON.stringify(sku)} already`);
  const data = { ...payload(productId, sku, command), created_at: toTimestamp(now) };
  return accept([{ type: 'product.created', data }]);
}

/** Nothing when all is as it is to be already. */
function update(command: UpdateProduct, state: ProductState, now: number): readonly ProductEvent[] {
  const changed = PRODUCT_FIELDS.filter((field) => command[PROPERTY[field]] !== state[PROPERTY[field]]);
  if (changed.length === 0) return [];
  const data = { ...payload(state.id, state.sku, command), changed, updated_at: toTimestamp(now) };
  return [{ type: 'product.updated', data }];
}

const PROPERTY: Readonly<Record<ProductField, keyof ProductDetails>> = {
  name: 'name',
  description: 'description',
  price: 'priceMinor',
  currency: 'currency',
  status: 'status',
};

function remove({ traceId }: DeleteProduct, { id, sku }: ProductState, now: number): ProductEvent {
  return {
    type: 'product.deleted',
    data: { product_id: id, sku, trace_id: traceId, deleted_at: toTimestamp(now) },
  };
}

function payload(productId: string, sku: string, details: ProductDetails & Traced) {
  const { name, description, priceMinor, currency, status, traceId } = details;
  invariant(Number.isSafeInteger(priceMinor) && priceMinor > 0, 'a price is a positive safe integer');
  return {
    product_id: productId,
    sku,
    name,
    ...(description !== null && { description }),
    price: toMajor(priceMinor, currency),
    price_minor: priceMinor,
    currency,
    status,
    trace_id: traceId,
  };
}

function evolve(state: ProductState, event: ProductEvent): ProductState {
  switch (event.type) {
    case 'product.created': {
      const createdAt = fromTimestamp(event.data.created_at);
      return { ...described(event.data), createdAt, updatedAt: createdAt };
    }
    case 'product.updated': {
      const { createdAt } = state;
      return { ...described(event.data), createdAt, updatedAt: fromTimestamp(event.data.updated_at) };
    }
    case 'product.deleted':
      return { ...state, status: 'DELETED', updatedAt: fromTimestamp(event.data.deleted_at) };
  }
}

function described(data: EventOf<typeof productCreated | typeof productUpdated>['data']) {
  return {
    id: data.product_id,
    sku: data.sku,
    name: data.name,
    description: data.description ?? null,
    priceMinor: data.price_minor,
    currency: data.currency,
    status: data.status,
  };
}
