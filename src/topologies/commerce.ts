import type { Key, Route } from '#kernel/bus/topology.ts';

const productId: Key = { name: 'product_id', of: ({ data }) => data.product_id };

const purchaseId: Key = { name: 'purchase_id', of: ({ data }) => data.purchase_id };

const ofProducts: Route = { topic: 'product-events', key: productId };
const ofInventory: Route = { topic: 'inventory-events', key: productId };
const ofPurchases: Route = { topic: 'purchase-events', key: purchaseId };

/** What the shop writes: the same in every topology, each event by the id of its entity. */
export const COMMERCE_ROUTES: ReadonlyMap<string, readonly Route[]> = new Map([
  ['product.created', [ofProducts]],
  ['product.updated', [ofProducts]],
  ['product.deleted', [ofProducts]],
  ['inventory.stock.updated', [ofInventory]],
  ['inventory.stock.low', [ofInventory]],
  ['inventory.stock.out', [ofInventory]],
  ['inventory.reserved', [ofInventory]],
  ['inventory.reservation.declined', [ofInventory]],
  ['inventory.released', [ofInventory]],
  ['inventory.committed', [ofInventory]],
  ['purchase.created', [ofPurchases]],
  ['purchase.payment.requested', [ofPurchases]],
  ['purchase.confirmed', [ofPurchases]],
  ['purchase.completed', [ofPurchases]],
  ['purchase.cancelled', [ofPurchases]],
  ['purchase.returned', [ofPurchases]],
  ['purchase.refund.requested', [ofPurchases]],
  ['purchase.refunded', [ofPurchases]],
  ['purchase.refund.failed', [ofPurchases]],
]);
