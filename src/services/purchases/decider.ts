import type { Decider } from '#kernel/core/decider.ts';
import { invariant } from '#kernel/core/invariant.ts';
import { toMajor } from '#kernel/core/money.ts';
import type { Result } from '#kernel/core/result.ts';
import { accept, refuse } from '#kernel/core/result.ts';
import { toTimestamp } from '#kernel/core/timestamp.ts';
import type { ReservationRefusal } from '#services/inventory/contract.ts';
import type { PaymentMethod } from '#services/payments/contract.ts';
import { type Cancellation, PURCHASE } from './contract.ts';
import { orderData, type RefundMade, refunded, refundFailed, refundOf, refundsOverdue } from './refund.decider.ts';
import {
  evolvePurchase,
  NO_PURCHASE,
  type Purchase,
  type PurchaseEvent,
  type PurchaseLine,
  type PurchaseSettings,
} from './saga.ts';

/*
 * RESERVING → PAYING → COMMITTING → COMPLETED, and from each of them → CANCELLED.
 *
 * Inventory answers for each product by itself, so a step is over when all have answered. Messages come twice and out of
 * order: each is answered from the state alone, and what is not awaited changes nothing, except money, which is never kept
 * for a purchase that has ended without it.
 */

export interface CreatePurchase {
  readonly type: 'CreatePurchase';
  readonly purchaseId: string;
  readonly customerId: string;
  readonly method: PaymentMethod;
  readonly currency: string;
  /** Each of another product. */
  readonly lines: readonly Omit<PurchaseLine, 'returned'>[];
  readonly paymentToken?: string;
  readonly reference?: string;
  readonly traceId: string;
}

/** Units of a product. */
export interface Units {
  readonly productId: string;
  readonly quantity: number;
}

export interface CancelPurchase {
  readonly type: 'CancelPurchase';
  readonly reason: string;
  /** What comes back of a completed purchase; all that is left when absent. */
  readonly units?: readonly Units[];
}

/**
 * What a purchase can be told: by clients (`CreatePurchase`, `CancelPurchase`), by the sweeper of deadlines, and by the messages
 * of inventory and payments.
 */
export type PurchaseCommand =
  | CreatePurchase
  | CancelPurchase
  | { readonly type: 'DeadlinePassed' }
  | { readonly type: 'StockReserved' | 'StockCommitted'; readonly productId: string }
  | { readonly type: 'StockDeclined'; readonly productId: string; readonly reason: ReservationRefusal }
  | { readonly type: 'PaymentApproved' }
  | { readonly type: 'PaymentRefused'; readonly cancellation: Cancellation; readonly reason: string }
  | RefundMade
  | { readonly type: 'RefundFailed'; readonly refundId: string; readonly reason: string };

type Events = readonly PurchaseEvent[];
type Decision = Result<Events>;

/**
 * The aggregate of purchases. Refusals: `purchase_not_found`, `purchase_not_cancellable`, `return_exceeds_purchase`. Throws
 * InvariantError where money would not add up.
 */
export function createPurchaseDecider(settings: PurchaseSettings): Decider<Purchase, PurchaseCommand, PurchaseEvent> {
  return {
    aggregate: PURCHASE,
    stateVersion: 1,
    initial: NO_PURCHASE,
    evolve: (purchase, event) => evolvePurchase(purchase, event, settings),
    settled: ({ status, refunds }) =>
      (status === 'COMPLETED' || status === 'CANCELLED') && Object.keys(refunds).length === 0,
    decide: (command, purchase, { now }) => {
      if (command.type === 'CreatePurchase') return accept(create(command, purchase, now, settings));
      if (command.type === 'CancelPurchase') return cancel(command, purchase, now);
      // What concerns a payment or a product may concern no purchase.
      return accept(purchase.id === '' ? [] : react(command, purchase, now, settings));
    },
  };
}

function react(
  command: Exclude<PurchaseCommand, CreatePurchase | CancelPurchase>,
  purchase: Purchase,
  now: number,
  settings: PurchaseSettings,
): Events {
  switch (command.type) {
    case 'StockReserved':
      return purchase.state === 'RESERVING' ? reserved(command.productId, purchase, now, settings) : [];
    case 'StockDeclined':
      if (purchase.state === 'RESERVING') return [cancelled(purchase, command.reason, command.productId, now)];
      return purchase.state === 'COMMITTING' ? leftTheHouse(command.productId, command.reason, purchase, now) : [];
    case 'StockCommitted':
      return purchase.state === 'COMMITTING' ? leftTheHouse(command.productId, 'committed', purchase, now) : [];
    case 'PaymentApproved':
      return paid(purchase, now);
    case 'PaymentRefused':
      return purchase.state === 'PAYING' ? [cancelled(purchase, command.cancellation, command.reason, now)] : [];
    case 'RefundMade':
      return refunded(command, purchase, now);
    case 'RefundFailed':
      return refundFailed(command.refundId, command.reason, purchase, now);
    case 'DeadlinePassed':
      return [...stepOverdue(purchase, now), ...refundsOverdue(purchase, now)];
  }
}

/** Accepts a purchase; one that exists already is left as it is. */
function create(command: CreatePurchase, purchase: Purchase, now: number, settings: PurchaseSettings): Events {
  if (purchase.id !== '') return [];
  const { purchaseId, customerId, method, currency, lines, paymentToken, reference, traceId } = command;
  const amountMinor = lines.reduce((sum, { quantity, unitPriceMinor }) => sum + quantity * unitPriceMinor, 0);
  invariant(
    Number.isSafeInteger(amountMinor) && amountMinor > 0,
    'the amount of a purchase is a positive safe integer',
  );
  const order = { ...NO_PURCHASE, id: purchaseId, customerId, currency, traceId };
  const data = {
    ...orderData(order, amountMinor),
    status: 'PENDING' as const,
    method,
    lines: lines.map((line) => lineData(line, currency)),
    ...(paymentToken !== undefined && { payment_token: paymentToken }),
    ...(reference !== undefined && { reference }),
    created_at: toTimestamp(now),
    reserve_until: toTimestamp(now + settings.reserveDeadlineMs),
  };
  return [{ type: 'purchase.created', data }];
}

function reserved(productId: string, purchase: Purchase, now: number, settings: PurchaseSettings): Events {
  if (purchase.answers[productId] !== undefined) return [];
  if (!isLastAnswer(purchase)) return [answered(purchase, productId, 'reserved', now)];
  const { method, paymentToken } = purchase;
  const data = {
    ...orderData(purchase),
    method,
    ...(paymentToken !== null && { payment_token: paymentToken }),
    requested_at: toTimestamp(now),
    pay_until: toTimestamp(now + settings.paymentDeadlineMs),
  };
  return [{ type: 'purchase.payment.requested', data }];
}

/** The payment is approved: the units may leave. Money for a purchase that has ended goes back. */
function paid(purchase: Purchase, now: number): Events {
  if (purchase.isPaid) return [];
  if (purchase.state === 'CANCELLED') return refundOf(purchase, purchase.amountMinor, purchase.reason!, now);
  invariant(purchase.state === 'PAYING', 'only what is reserved is paid');
  if (purchase.refundedMinor >= purchase.amountMinor) return [cancelled(purchase, 'payment_refunded', undefined, now)];
  const data = {
    ...orderData(purchase),
    lines: purchase.lines.map(unitsData),
    confirmed_at: toTimestamp(now),
  };
  return [{ type: 'purchase.confirmed', data }];
}

/**
 * What became of a product that is paid. When all have answered, the purchase is complete, or, where one was not there any more,
 * cancelled: the others come back, and so does the money.
 */
function leftTheHouse(
  productId: string,
  reason: 'committed' | ReservationRefusal,
  purchase: Purchase,
  now: number,
): Events {
  if (purchase.answers[productId] !== undefined) return [];
  if (!isLastAnswer(purchase)) return [answered(purchase, productId, reason, now)];
  const answers = { ...purchase.answers, [productId]: reason === 'committed' ? 'given' : 'declined' };
  const missing = purchase.lines.find((line) => answers[line.productId] === 'declined');
  if (missing === undefined)
    return [{ type: 'purchase.completed', data: { ...orderData(purchase), completed_at: toTimestamp(now) } }];
  const restock = purchase.lines.filter((line) => answers[line.productId] === 'given');
  return [
    cancelled(purchase, 'out_of_stock', missing.productId, now, { release: [], restock }),
    ...refundOf(purchase, purchase.amountMinor, 'out_of_stock', now),
  ];
}

function isLastAnswer({ answers, lines }: Purchase): boolean {
  return Object.keys(answers).length === lines.length - 1;
}

function cancel({ reason, units }: CancelPurchase, purchase: Purchase, now: number): Decision {
  switch (purchase.id === '' ? undefined : purchase.status) {
    case undefined:
      return refuse('purchase_not_found', 'there is no such purchase');
    case 'CANCELLED':
      if (units === undefined) return accept([]);
      return refuse('return_exceeds_purchase', 'the purchase is cancelled: nothing is left of it', 'lines');
    case 'CONFIRMED':
      return refuse('purchase_not_cancellable', 'it is paid and about to be completed: cancel it once it is');
    case 'PENDING':
      if (units === undefined) return accept([cancelled(purchase, 'cancelled', reason, now)]);
      return refuse('purchase_not_cancellable', 'it is not completed: only all of it can be cancelled', 'lines');
    case 'COMPLETED':
      return takeBack(reason, units, purchase, now);
  }
}

/** Units of a completed purchase come back: all that are left, which cancels it, or some. */
function takeBack(reason: string, units: readonly Units[] | undefined, purchase: Purchase, now: number): Decision {
  const left = leftOf(purchase);
  const back = units ?? left;
  const remaining = new Map(left.map(({ productId, quantity }) => [productId, quantity]));
  for (const { productId, quantity } of back) {
    const most = remaining.get(productId) ?? 0;
    if (quantity > most) {
      const message = `${most} units of ${productId} are left of the purchase, ${quantity} cannot come back`;
      return refuse('return_exceeds_purchase', message, 'lines');
    }
    remaining.set(productId, most - quantity);
  }
  const amountMinor = worthOf(back, purchase);
  const isAll = amountMinor === worthOf(left, purchase);
  const end = isAll ? cancelled(purchase, 'cancelled', reason, now, { release: [], restock: back }) : undefined;
  return accept([end ?? someReturned(purchase, reason, back, now), ...refundOf(purchase, amountMinor, reason, now)]);
}

function leftOf({ lines }: Purchase): readonly Units[] {
  return lines
    .map(({ productId, quantity, returned }) => ({ productId, quantity: quantity - returned }))
    .filter(({ quantity }) => quantity > 0);
}

function worthOf(units: readonly Units[], { lines }: Purchase): number {
  const prices = new Map(lines.map(({ productId, unitPriceMinor }) => [productId, unitPriceMinor]));
  return units.reduce((sum, { productId, quantity }) => sum + quantity * prices.get(productId)!, 0);
}

/** What is not paid is given up, which loses nothing; what is paid only takes longer. */
function stepOverdue(purchase: Purchase, now: number): Events {
  const { state, deadlineAt } = purchase;
  if (deadlineAt === null || now < deadlineAt) return [];
  if (state === 'RESERVING') return [cancelled(purchase, 'reservation_timeout', undefined, now)];
  if (state === 'PAYING') return [cancelled(purchase, 'payment_timeout', undefined, now)];
  const data = {
    purchase_id: purchase.id,
    state,
    attempt: purchase.attempt + 1,
    reason: 'stock_not_answered',
    trace_id: purchase.traceId,
    at: toTimestamp(now),
  };
  return [{ type: 'purchase.saga.advanced', data }];
}

function cancelled(
  purchase: Purchase,
  reason: Cancellation,
  detail: string | undefined,
  now: number,
  units: { readonly release: readonly Units[]; readonly restock: readonly Units[] } = {
    release: purchase.lines,
    restock: [],
  },
): PurchaseEvent {
  const data = {
    ...orderData(purchase),
    reason,
    ...(detail !== undefined && { detail }),
    release: units.release.map(unitsData),
    restock: units.restock.map(unitsData),
    return_number: purchase.returns + 1,
    cancelled_at: toTimestamp(now),
  };
  return { type: 'purchase.cancelled', data };
}

function someReturned(purchase: Purchase, reason: string, units: readonly Units[], now: number): PurchaseEvent {
  const data = {
    ...orderData(purchase, worthOf(units, purchase)),
    reason,
    restock: units.map(unitsData),
    return_number: purchase.returns + 1,
    returned_at: toTimestamp(now),
  };
  return { type: 'purchase.returned', data };
}

function answered(
  { id, state, attempt, traceId }: Purchase,
  productId: string,
  reason: string,
  now: number,
): PurchaseEvent {
  const data = {
    purchase_id: id,
    state,
    attempt,
    product_id: productId,
    reason,
    trace_id: traceId,
    at: toTimestamp(now),
  };
  return { type: 'purchase.saga.advanced', data };
}

function lineData(
  { productId, sku, name, quantity, unitPriceMinor }: CreatePurchase['lines'][number],
  currency: string,
) {
  return {
    product_id: productId,
    quantity,
    sku,
    name,
    unit_price: toMajor(unitPriceMinor, currency),
    unit_price_minor: unitPriceMinor,
    amount: toMajor(unitPriceMinor * quantity, currency),
    amount_minor: unitPriceMinor * quantity,
  };
}

function unitsData({ productId, quantity }: Units) {
  return { product_id: productId, quantity };
}
