import type { EventOf } from '#kernel/core/event.ts';
import { fromTimestamp } from '#kernel/core/timestamp.ts';
import type { PaymentMethod } from '#services/payments/contract.ts';
import type {
  Cancellation,
  PurchaseSagaState,
  PurchaseStatus,
  purchaseCancelled,
  purchaseCompleted,
  purchaseConfirmed,
  purchaseCreated,
  purchasePaymentRequested,
  purchaseRefunded,
  purchaseRefundFailed,
  purchaseRefundRequested,
  purchaseReturned,
  purchaseSagaAdvanced,
} from './contract.ts';

/** Everything that the stream of a purchase can hold. */
export type PurchaseEvent = EventOf<
  | typeof purchaseCreated
  | typeof purchasePaymentRequested
  | typeof purchaseConfirmed
  | typeof purchaseCompleted
  | typeof purchaseCancelled
  | typeof purchaseReturned
  | typeof purchaseRefundRequested
  | typeof purchaseRefunded
  | typeof purchaseRefundFailed
  | typeof purchaseSagaAdvanced
>;

/** What is bought of one product. */
export interface PurchaseLine {
  readonly productId: string;
  readonly sku: string;
  readonly name: string;
  readonly quantity: number;
  readonly unitPriceMinor: number;
  /** Units that came back. */
  readonly returned: number;
}

/** What inventory said to the present step: the units are kept, or have left the house; or there are not so many. */
export type StockAnswer = 'given' | 'declined';

/** Money that is to be given back, until it is. */
export interface OpenRefund {
  readonly refundId: string;
  readonly amountMinor: number;
  /** One more for each id that failed. */
  readonly round: number;
  readonly attempt: number;
  readonly hasFailed: boolean;
  readonly reason: string;
  /** When it must have been answered, milliseconds since 1970; null: it has failed so often that a person has to look. */
  readonly deadlineAt: number | null;
}

/** A purchase and its saga. `id` is empty until it exists. Times in milliseconds since 1970. */
export interface Purchase {
  readonly id: string;
  readonly customerId: string;
  readonly method: PaymentMethod;
  readonly amountMinor: number;
  readonly currency: string;
  readonly traceId: string;
  readonly paymentToken: string | null;
  /** The caller's own name of it. */
  readonly reference: string | null;
  readonly lines: readonly PurchaseLine[];
  readonly status: PurchaseStatus;
  /** Why it was cancelled, and what is known of it besides. */
  readonly reason: Cancellation | null;
  readonly detail: string | null;
  readonly state: PurchaseSagaState;
  /** By product. */
  readonly answers: Readonly<Record<string, StockAnswer>>;
  readonly attempt: number;
  /** When the present step must be over; null: there is none. */
  readonly deadlineAt: number | null;
  readonly stuckReason: string | null;
  /** Money was taken for it. */
  readonly isPaid: boolean;
  /** How often something came back. */
  readonly returns: number;
  /** Refunds asked for so far; the open ones by their numbers. */
  readonly refundCount: number;
  readonly refunds: Readonly<Record<string, OpenRefund>>;
  /** Given back by all refunds of the payment, the purchase's own or not. */
  readonly refundedMinor: number;
  readonly createdAt: number;
  /** When it was completed or cancelled, the first of them. */
  readonly completedAt: number | null;
}

export const NO_PURCHASE: Purchase = {
  id: '',
  customerId: '',
  method: 'wallet',
  amountMinor: 0,
  currency: '',
  traceId: '',
  paymentToken: null,
  reference: null,
  lines: [],
  status: 'PENDING',
  reason: null,
  detail: null,
  state: 'RESERVING',
  answers: {},
  attempt: 1,
  deadlineAt: null,
  stuckReason: null,
  isPaid: false,
  returns: 0,
  refundCount: 0,
  refunds: {},
  refundedMinor: 0,
  createdAt: 0,
  completedAt: null,
};

/** How long the saga of a purchase waits. Times in milliseconds. */
export interface PurchaseSettings {
  /** For inventory to keep the units; past it the purchase is cancelled. */
  readonly reserveDeadlineMs: number;
  /** For the payment to end; past it the purchase is cancelled, and money that comes later goes back. */
  readonly paymentDeadlineMs: number;
  /** For the units to leave the house, and for a refund, the first time; past it the purchase is stuck. */
  readonly stepDeadlineMs: number;
  /** Each wait is twice the one before, up to this. */
  readonly maxWaitMs: number;
  /** A refund that failed is asked for so many times in all. */
  readonly maxRefundRounds: number;
}

export const DEFAULT_PURCHASE_SETTINGS: PurchaseSettings = {
  reserveDeadlineMs: 30_000,
  paymentDeadlineMs: 3_600_000,
  stepDeadlineMs: 30_000,
  maxWaitMs: 600_000,
  maxRefundRounds: 10,
};

/** The purchase after an event of its stream. */
export function evolvePurchase(purchase: Purchase, event: PurchaseEvent, settings: PurchaseSettings): Purchase {
  switch (event.type) {
    case 'purchase.created':
      return created(event.data);
    case 'purchase.payment.requested': {
      const deadlineAt = fromTimestamp(event.data.pay_until);
      return { ...purchase, ...newStep('PAYING', deadlineAt) };
    }
    case 'purchase.confirmed': {
      const deadlineAt = fromTimestamp(event.data.confirmed_at) + settings.stepDeadlineMs;
      return { ...purchase, ...newStep('COMMITTING', deadlineAt), status: 'CONFIRMED', isPaid: true };
    }
    case 'purchase.completed': {
      const completedAt = fromTimestamp(event.data.completed_at);
      return { ...purchase, ...newStep('COMPLETED', null), status: 'COMPLETED', completedAt };
    }
    case 'purchase.cancelled':
      return cancelled(purchase, event.data);
    case 'purchase.returned':
      return withReturned(purchase, event.data);
    case 'purchase.refund.requested':
      return refundRequested(purchase, event.data, settings);
    case 'purchase.refunded':
      return refunded(purchase, event.data);
    case 'purchase.refund.failed': {
      const { refund_number } = event.data;
      const before = purchase.refunds[refund_number]!;
      const isLast = before.round >= settings.maxRefundRounds;
      const refund = { ...before, hasFailed: true, deadlineAt: isLast ? null : before.deadlineAt };
      return { ...purchase, refunds: { ...purchase.refunds, [refund_number]: refund } };
    }
    case 'purchase.saga.advanced':
      return advanced(purchase, event.data, settings);
  }
}

function newStep(state: PurchaseSagaState, deadlineAt: number | null) {
  return { state, answers: {}, attempt: 1, deadlineAt, stuckReason: null };
}

function created(data: EventOf<typeof purchaseCreated>['data']): Purchase {
  return {
    ...NO_PURCHASE,
    id: data.purchase_id,
    customerId: data.customer_id,
    method: data.method,
    amountMinor: data.amount_minor,
    currency: data.currency,
    traceId: data.trace_id,
    paymentToken: data.payment_token ?? null,
    reference: data.reference ?? null,
    lines: data.lines.map((line) => ({
      productId: line.product_id,
      sku: line.sku,
      name: line.name,
      quantity: line.quantity,
      unitPriceMinor: line.unit_price_minor,
      returned: 0,
    })),
    deadlineAt: fromTimestamp(data.reserve_until),
    createdAt: fromTimestamp(data.created_at),
  };
}

function cancelled(purchase: Purchase, data: EventOf<typeof purchaseCancelled>['data']): Purchase {
  const { reason, detail = null, cancelled_at } = data;
  return {
    ...withReturned(purchase, data),
    ...newStep('CANCELLED', null),
    status: 'CANCELLED',
    reason,
    detail,
    completedAt: purchase.completedAt ?? fromTimestamp(cancelled_at),
  };
}

interface Returned {
  readonly restock: readonly { readonly product_id: string; readonly quantity: number }[];
  readonly return_number: number;
}

function withReturned(purchase: Purchase, { restock, return_number }: Returned): Purchase {
  if (restock.length === 0) return purchase;
  const quantities = new Map(restock.map(({ product_id, quantity }) => [product_id, quantity]));
  const lines = purchase.lines.map((line) => ({
    ...line,
    returned: line.returned + (quantities.get(line.productId) ?? 0),
  }));
  return { ...purchase, lines, returns: return_number };
}

function refundRequested(
  purchase: Purchase,
  data: EventOf<typeof purchaseRefundRequested>['data'],
  settings: PurchaseSettings,
): Purchase {
  const { refund_number, refund_id, amount_minor, round, attempt, reason, requested_at } = data;
  const refund: OpenRefund = {
    refundId: refund_id,
    amountMinor: amount_minor,
    round,
    attempt,
    hasFailed: false,
    reason,
    deadlineAt: fromTimestamp(requested_at) + waitOf(attempt, settings),
  };
  return {
    ...purchase,
    isPaid: true,
    refundCount: Math.max(purchase.refundCount, refund_number),
    refunds: { ...purchase.refunds, [refund_number]: refund },
  };
}

/** A refund that is not the purchase's own stands for one that has failed and is not larger, or, when all is given back, for all. */
function refunded(purchase: Purchase, data: EventOf<typeof purchaseRefunded>['data']): Purchase {
  const all = Object.entries(purchase.refunds);
  const own = all.find(([, { refundId }]) => refundId === data.refund_id);
  const instead = all.find(([, { hasFailed, amountMinor }]) => hasFailed && amountMinor <= data.amount_minor);
  const closed = own ?? instead;
  const open = data.status === 'REFUNDED' ? [] : all.filter((entry) => entry !== closed);
  const refundedMinor = Math.max(purchase.refundedMinor, data.refunded_minor);
  return { ...purchase, refunds: Object.fromEntries(open), refundedMinor };
}

function advanced(
  purchase: Purchase,
  { product_id, reason, attempt, at }: EventOf<typeof purchaseSagaAdvanced>['data'],
  settings: PurchaseSettings,
): Purchase {
  if (product_id !== undefined) {
    const answer = reason === 'reserved' || reason === 'committed' ? 'given' : 'declined';
    return { ...purchase, answers: { ...purchase.answers, [product_id]: answer } };
  }
  const deadlineAt = fromTimestamp(at) + waitOf(attempt, settings);
  return { ...purchase, attempt, deadlineAt, stuckReason: reason };
}

function waitOf(attempt: number, { stepDeadlineMs, maxWaitMs }: PurchaseSettings): number {
  return Math.min(stepDeadlineMs * 2 ** (attempt - 1), maxWaitMs);
}

/** When something of the purchase must have been answered, the first of it; null: nothing is awaited. */
export function nextDeadlineOf({ deadlineAt, refunds }: Purchase): number | null {
  const deadlines = [deadlineAt, ...Object.values(refunds).map((refund) => refund.deadlineAt)].filter(
    (at) => at !== null,
  );
  return deadlines.length === 0 ? null : Math.min(...deadlines);
}

/** Why something of the purchase takes longer than it should; null while all goes well. */
export function troubleOf({ stuckReason, refunds }: Purchase): string | null {
  const open = Object.values(refunds);
  if (open.some((refund) => refund.hasFailed || refund.round > 1)) return 'refund_failed';
  return stuckReason ?? (open.some((refund) => refund.attempt > 1) ? 'refund_not_answered' : null);
}
