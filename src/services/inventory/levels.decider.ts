import type { EventOf } from '#kernel/core/event.ts';
import { invariant } from '#kernel/core/invariant.ts';
import { fromTimestamp } from '#kernel/core/timestamp.ts';
import type { stockCommitted, stockLow, stockOut, stockReleased, stockReserved, stockUpdated } from './contract.ts';

/** The events that say how much there is of a product. */
export type LevelEvent = EventOf<
  | typeof stockUpdated
  | typeof stockLow
  | typeof stockOut
  | typeof stockReserved
  | typeof stockReleased
  | typeof stockCommitted
>;

/** How much there is of a product, in units. `updatedAt` (milliseconds since 1970) is 0 while nothing is known of it. */
export interface StockLevels {
  readonly onHand: number;
  readonly reserved: number;
  readonly threshold: number;
  readonly updatedAt: number;
}

export const NO_LEVELS: StockLevels = { onHand: 0, reserved: 0, threshold: 0, updatedAt: 0 };

export function availableOf({ onHand, reserved }: StockLevels): number {
  return onHand - reserved;
}

export function isLow(levels: StockLevels): boolean {
  return levels.threshold > 0 && availableOf(levels) <= levels.threshold;
}

export function isOut(levels: StockLevels): boolean {
  return availableOf(levels) === 0;
}

/** The levels as every event of stock has them. */
export function levelsData(productId: string, levels: StockLevels) {
  const { onHand, reserved, threshold } = levels;
  return { product_id: productId, on_hand: onHand, reserved, available: availableOf(levels), threshold };
}

/**
 * The levels after an event of the product's stream: those that it names, which must follow from those before it.
 * @throws InvariantError when they do not
 */
export function evolveLevels(before: StockLevels, event: LevelEvent): StockLevels {
  if (event.type === 'inventory.stock.low' || event.type === 'inventory.stock.out') return before;
  const { on_hand: onHand, reserved, available, threshold } = event.data;
  const added = addedBy(event);
  const isCommit = event.type === 'inventory.committed';
  invariant(onHand === before.onHand + added.onHand, 'each change starts from what there was before it');
  invariant(
    reserved === before.reserved + added.reserved || (isCommit && reserved === before.reserved),
    'only what was kept for a purchase is given back or leaves, else what is available',
  );
  invariant(
    reserved >= 0 && available === onHand - reserved && available >= 0,
    'no more units are promised than there are',
  );
  const updatedAt = fromTimestamp(event.type === 'inventory.stock.updated' ? event.data.updated_at : event.data.at);
  return { onHand, reserved, threshold, updatedAt };
}

function addedBy(event: Exclude<LevelEvent, EventOf<typeof stockLow | typeof stockOut>>) {
  switch (event.type) {
    case 'inventory.stock.updated':
      return { onHand: event.data.change, reserved: 0 };
    case 'inventory.reserved':
      return { onHand: 0, reserved: quantityOf(event) };
    case 'inventory.released':
      return { onHand: 0, reserved: -quantityOf(event) };
    case 'inventory.committed':
      return { onHand: -quantityOf(event), reserved: -quantityOf(event) };
  }
}

function quantityOf({ data }: EventOf<typeof stockReserved | typeof stockReleased | typeof stockCommitted>): number {
  return data.lines[0]!.quantity;
}
