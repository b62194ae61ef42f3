import type { Key, Route } from '#kernel/bus/topology.ts';

const productId: Key = { name: 'product_id', of: ({ data }) => data.product_id };

const ofProducts: Route = { topic: 'product-events', key: productId };
const ofInventory: Route = { topic: 'inventory-events', key: productId };

/** What the shop writes: the same in every topology, each event by the id of its entity. */
export const COMMERCE_ROUTES: ReadonlyMap<string, readonly Route[]> = new Map([
  ['product.created', [ofProducts]],
  ['product.updated', [ofProducts]],
  ['product.deleted', [ofProducts]],
  ['inventory.stock.updated', [ofInventory]],
  ['inventory.stock.low', [ofInventory]],
  ['inventory.stock.out', [ofInventory]],
]);
