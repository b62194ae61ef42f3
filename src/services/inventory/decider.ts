import type { Decider } from '#kernel/core/decider.ts';
import type { EventOf } from '#kernel/core/event.ts';
import { invariant } from '#kernel/core/invariant.ts';
import type { Result } from '#kernel/core/result.ts';
import { accept, refuse } from '#kernel/core/result.ts';
import { fromTimestamp, toTimestamp } from '#kernel/core/timestamp.ts';
import {
  MAX_UNITS,
  type ReservationRefusal,
  type reservationDeclined,
  STOCK,
  type stockReleased,
  type stockReserved,
  type stockUpdated,
} from './contract.ts';
import {
  availableOf,
  evolveLevels,
  isLow,
  isOut,
  type LevelEvent,
  levelsData,
  NO_LEVELS,
  type StockLevels,
} from './levels.decider.ts';
import {
  findReservation,
  NO_RESERVATIONS,
  type Reservation,
  type Reservations,
  withoutReservation,
  withReservation,
} from './reservations.decider.ts';

/** Everything that the stream of a product's stock can hold. */
export type StockEvent = LevelEvent | EventOf<typeof reservationDeclined>;

/** The stock of a product. What its reservations keep adds up to `reserved`. */
export interface StockState extends StockLevels {
  readonly reservations: Reservations;
}

interface OfProduct {
  /** Also the id of the stream. */
  readonly productId: string;
  readonly traceId: string;
}

/** Units come in (> 0) or go out (< 0) by hand, or the threshold is set, or both. */
export interface AdjustStock extends OfProduct {
  readonly type: 'AdjustStock';
  readonly change: number;
  readonly threshold?: number;
  readonly reason: string;
  readonly reference?: string;
}

interface UnitsOfPurchase extends OfProduct {
  readonly purchaseId: string;
  readonly quantity: number;
}

/** A purchase asks for units, before it asks for money. */
export interface ReserveStock extends UnitsOfPurchase {
  readonly type: 'ReserveStock';
  /** Then the purchase is over, milliseconds since 1970. */
  readonly notAfter: number;
}

/** A purchase is paid: it takes what was kept for it, else what is available. */
export interface CommitStock extends UnitsOfPurchase {
  readonly type: 'CommitStock';
}

/** A purchase ended without being paid. */
export interface ReleaseStock extends UnitsOfPurchase {
  readonly type: 'ReleaseStock';
}

/** A purchase gives back what had left the house. */
export interface ReturnStock extends UnitsOfPurchase {
  readonly type: 'ReturnStock';
  /** 1 for the first return of this purchase. */
  readonly returnNumber: number;
}

/** A reservation is said to be overdue; whether that is true is decided here. */
export interface ExpireReservation {
  readonly type: 'ExpireReservation';
  readonly productId: string;
  readonly purchaseId: string;
}

export type StockCommand = AdjustStock | ReserveStock | CommitStock | ReleaseStock | ReturnStock | ExpireReservation;

export interface StockSettings {
  /** How long units are kept for a purchase that is not paid, milliseconds. */
  readonly reservationTtlMs: number;
  /** Purchases that one product is kept for at the same time; others are declined. */
  readonly maxReservations: number;
}

export const DEFAULT_STOCK_SETTINGS: StockSettings = { reservationTtlMs: 900_000, maxReservations: 10_000 };

/**
 * The aggregate of stock. Clients are refused (`insufficient_stock`, `stock_too_large`); purchases are answered by an event, also
 * with a no, each request once. Throws InvariantError where units would not add up.
 */
export function createStockDecider(settings: StockSettings): Decider<StockState, StockCommand, StockEvent> {
  return {
    aggregate: STOCK,
    stateVersion: 2,
    initial: { ...NO_LEVELS, reservations: NO_RESERVATIONS },
    evolve,
    decide: (command, state, { now, answered = false }) => {
      if (command.type === 'AdjustStock') return adjust(command, state, now);
      return accept(answered ? [] : decideForPurchase(command, state, now, settings));
    },
  };
}

function decideForPurchase(
  command: Exclude<StockCommand, AdjustStock>,
  state: StockState,
  now: number,
  settings: StockSettings,
): readonly StockEvent[] {
  const kept = findReservation(state.reservations, command.purchaseId);
  switch (command.type) {
    case 'ReserveStock':
      return kept === undefined && now <= command.notAfter ? reserve(command, state, now, settings) : [];
    case 'CommitStock':
      return commit(command, kept, state, now);
    case 'ReleaseStock':
      return kept === undefined ? [] : [released(command, kept, 'cancelled', state, now)];
    case 'ReturnStock':
      return [returned(command, state, now)];
    case 'ExpireReservation':
      return kept !== undefined && kept.expiresAt <= now ? [released(command, kept, 'expired', state, now)] : [];
  }
}

function adjust(command: AdjustStock, state: StockState, now: number): Result<readonly StockEvent[]> {
  const { productId, change, threshold = state.threshold, reason, reference, traceId } = command;
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
    ...levelsData(productId, after),
    change,
    reason,
    ...(reference !== undefined && { reference }),
    trace_id: traceId,
    updated_at: toTimestamp(now),
  };
  return accept([{ type: 'inventory.stock.updated', data }, ...alerts(command, state, after, now)]);
}

function reserve(
  command: ReserveStock,
  state: StockState,
  now: number,
  { reservationTtlMs, maxReservations }: StockSettings,
): readonly StockEvent[] {
  if (command.quantity > availableOf(state)) return [declined(command, 'out_of_stock', state, now)];
  if (state.reservations.count >= maxReservations) return [declined(command, 'too_many_reservations', state, now)];
  const after = { ...state, reserved: state.reserved + command.quantity };
  const data = { ...unitsData(command, command, after, now), expires_at: toTimestamp(now + reservationTtlMs) };
  return [{ type: 'inventory.reserved', data }, ...alerts(command, state, after, now)];
}

function commit(
  command: CommitStock,
  kept: Reservation | undefined,
  state: StockState,
  now: number,
): readonly StockEvent[] {
  invariant(kept === undefined || kept.quantity === command.quantity, 'a purchase takes what was kept for it');
  if (kept === undefined && command.quantity > availableOf(state))
    return [declined(command, 'out_of_stock', state, now)];
  const after = {
    ...state,
    onHand: state.onHand - command.quantity,
    reserved: state.reserved - (kept?.quantity ?? 0),
  };
  return [
    { type: 'inventory.committed', data: unitsData(command, command, after, now) },
    ...alerts(command, state, after, now),
  ];
}

function declined(
  command: ReserveStock | CommitStock,
  reason: ReservationRefusal,
  state: StockState,
  now: number,
): EventOf<typeof reservationDeclined> {
  return { type: 'inventory.reservation.declined', data: { ...unitsData(command, command, state, now), reason } };
}

function released(
  command: ReleaseStock | ExpireReservation,
  kept: Reservation,
  reason: 'cancelled' | 'expired',
  state: StockState,
  now: number,
): EventOf<typeof stockReleased> {
  const after = { ...state, reserved: state.reserved - kept.quantity };
  return { type: 'inventory.released', data: { ...unitsData(command, kept, after, now), reason } };
}

function returned(command: ReturnStock, state: StockState, now: number): EventOf<typeof stockUpdated> {
  const { productId, purchaseId, quantity, returnNumber, traceId } = command;
  const data = {
    ...levelsData(productId, { ...state, onHand: state.onHand + quantity }),
    change: quantity,
    reason: 'returned',
    purchase_id: purchaseId,
    return_number: returnNumber,
    trace_id: traceId,
    updated_at: toTimestamp(now),
  };
  return { type: 'inventory.stock.updated', data };
}

function unitsData(
  { productId, purchaseId }: { readonly productId: string; readonly purchaseId: string },
  { quantity, traceId }: { readonly quantity: number; readonly traceId: string },
  after: StockLevels,
  now: number,
) {
  return {
    ...levelsData(productId, after),
    purchase_id: purchaseId,
    lines: [{ product_id: productId, quantity }],
    trace_id: traceId,
    at: toTimestamp(now),
  };
}

/** Once for each time that it comes to be so. */
function alerts(
  { productId, traceId }: OfProduct,
  before: StockLevels,
  after: StockLevels,
  now: number,
): readonly StockEvent[] {
  const wasKnown = before.updatedAt > 0;
  const becameLow = isLow(after) && !(wasKnown && isLow(before));
  const becameOut = isOut(after) && !(wasKnown && isOut(before));
  if (!becameLow && !becameOut) return [];
  const data = { ...levelsData(productId, after), trace_id: traceId, at: toTimestamp(now) };
  return [
    ...(becameLow ? [{ type: 'inventory.stock.low', data } as const] : []),
    ...(becameOut ? [{ type: 'inventory.stock.out', data } as const] : []),
  ];
}

function evolve(state: StockState, event: StockEvent): StockState {
  if (event.type === 'inventory.reservation.declined') return state;
  return { ...evolveLevels(state, event), reservations: evolveReservations(state.reservations, event) };
}

function evolveReservations(reservations: Reservations, event: LevelEvent): Reservations {
  switch (event.type) {
    case 'inventory.reserved':
      return withReservation(reservations, event.data.purchase_id, reservationOf(event));
    case 'inventory.released':
    case 'inventory.committed':
      return withoutReservation(reservations, event.data.purchase_id);
    default:
      return reservations;
  }
}

function reservationOf({ data }: EventOf<typeof stockReserved>): Reservation {
  return { quantity: data.lines[0]!.quantity, expiresAt: fromTimestamp(data.expires_at), traceId: data.trace_id };
}
