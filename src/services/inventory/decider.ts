import type { Decider } from '#kernel/core/decider.ts';
import type { EventOf } from '#kernel/core/event.ts';
import { invariant } from '#kernel/core/invariant.ts';
import type { Result } from '#kernel/core/result.ts';
import { accept, refuse } from '#kernel/core/result.ts';
import { fromTimestamp, toTimestamp } from '#kernel/core/timestamp.ts';
import { MAX_UNITS, STOCK, type stockLow, type stockOut, type stockUpdated } from './contract.ts';

/** Everything that the stream of a product's stock can hold. */
export type StockEvent = EventOf<typeof stockUpdated | typeof stockLow | typeof stockOut>;

/** How much there is of a product, in units. */
export interface Levels {
  readonly onHand: number;
  readonly reserved: number;
  readonly threshold: number;
}

/** The stock of a product. `updatedAt` (milliseconds since 1970) is 0 while nothing is known of it. */
export interface StockState extends Levels {
  readonly updatedAt: number;
}

/** Units come in (> 0) or go out (< 0) by hand, or the threshold is set, or both. */
export interface AdjustStock {
  readonly type: 'AdjustStock';
  /** Also the id of the stream. */
  readonly productId: string;
  readonly change: number;
  readonly threshold?: number;
  readonly reason: string;
  readonly reference?: string;
  readonly traceId: string;
}

const NO_STOCK: StockState = { onHand: 0, reserved: 0, threshold: 0, updatedAt: 0 };

/** The aggregate of stock. Refusals: `insufficient_stock`, `stock_too_large`. */
export const stockDecider: Decider<StockState, AdjustStock, StockEvent> = {
  aggregate: STOCK,
  stateVersion: 1,
  initial: NO_STOCK,
  evolve,
  decide: (command, state, { now }) => adjust(command, state, now),
};

export function availableOf({ onHand, reserved }: Levels): number {
  return onHand - reserved;
}

export function isLow(levels: Levels): boolean {
  return levels.threshold > 0 && availableOf(levels) <= levels.threshold;
}

export function isOut(levels: Levels): boolean {
  return availableOf(levels) === 0;
}

function adjust(command: AdjustStock, state: StockState, now: number): Result<readonly StockEvent[]> {
  const { change, threshold = state.threshold, reason, reference, traceId } = command;
  const after = { ...state, onHand: state.onHand + change, threshold };
  if (availableOf(after) < 0)
    return refuse(
      'insufficient_stock',
      `${availableOf(state)} units are available, ${-change} cannot go out`,
      'change',
    );
  if (after.onHand > MAX_UNITS)
    return refuse('stock_too_large', `there cannot be more than ${MAX_UNITS} units of a product`, 'change');
  const data = {
    ...levels(command.productId, after),
    change,
    reason,
    ...(reference !== undefined && { reference }),
    trace_id: traceId,
    updated_at: toTimestamp(now),
  };
  return accept([{ type: 'inventory.stock.updated', data }, ...alerts(command, state, after, now)]);
}

/** Once for each time that it comes to be so. */
function alerts(
  { productId, traceId }: AdjustStock,
  before: StockState,
  after: StockState,
  now: number,
): readonly StockEvent[] {
  const data = { ...levels(productId, after), trace_id: traceId, at: toTimestamp(now) };
  const wasKnown = before.updatedAt > 0;
  const events: StockEvent[] = [];
  if (isLow(after) && !(wasKnown && isLow(before))) events.push({ type: 'inventory.stock.low', data });
  if (isOut(after) && !(wasKnown && isOut(before))) events.push({ type: 'inventory.stock.out', data });
  return events;
}

function levels(productId: string, { onHand, reserved, threshold }: Levels) {
  return { product_id: productId, on_hand: onHand, reserved, available: onHand - reserved, threshold };
}

function evolve(state: StockState, event: StockEvent): StockState {
  if (event.type !== 'inventory.stock.updated') return state;
  const { on_hand: onHand, reserved, available, threshold, change, updated_at } = event.data;
  invariant(onHand === state.onHand + change, 'each change starts from what there was before it');
  invariant(available === onHand - reserved && available >= 0, 'no more units are promised than there are');
  return { onHand, reserved, threshold, updatedAt: fromTimestamp(updated_at) };
}
