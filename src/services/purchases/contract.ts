import { type TProperties, Type } from '@sinclair/typebox';
import { defineEvent } from '#kernel/core/event.ts';
import { amountFields, count, oneOf, text, timestamp, traceId, uuid } from '#kernel/core/schemas.ts';
import { MAX_SKU } from '#services/catalog/contract.ts';
import { MAX_UNITS } from '#services/inventory/contract.ts';
import { PAYMENT_METHODS } from '#services/payments/contract.ts';

/** The aggregate type of purchases: one stream per purchase, its id is the purchase's. */
export const PURCHASE = 'purchase';

export const PURCHASE_STATUSES = ['PENDING', 'CONFIRMED', 'COMPLETED', 'CANCELLED'] as const;
export type PurchaseStatus = (typeof PURCHASE_STATUSES)[number];

/** Where the saga of a purchase stands, as operators see it. */
export const PURCHASE_STATES = ['RESERVING', 'PAYING', 'COMMITTING', 'COMPLETED', 'CANCELLED'] as const;
export type PurchaseSagaState = (typeof PURCHASE_STATES)[number];

/** Lines of one purchase. */
export const MAX_LINES = 1000;

const VERSION_DIGIT = 14;
const PURCHASE_VERSION = '7';
const PAYMENT_VERSION = '8';

/** The payment of a purchase: its id is the purchase's (a UUIDv7), marked as made from it (UUIDv8, RFC 9562 §5.8). */
export function paymentIdOf(purchaseId: string): string {
  return withVersion(purchaseId, PAYMENT_VERSION);
}

/** The purchase that a payment is for; undefined for a payment that is for none. */
export function purchaseIdOf(paymentId: string): string | undefined {
  return paymentId[VERSION_DIGIT] === PAYMENT_VERSION ? withVersion(paymentId, PURCHASE_VERSION) : undefined;
}

function withVersion(id: string, version: string): string {
  return `${id.slice(0, VERSION_DIGIT)}${version}${id.slice(VERSION_DIGIT + 1)}`;
}

const closed = <Properties extends TProperties>(properties: Properties) =>
  Type.Object(properties, { additionalProperties: false });

const units = {
  product_id: uuid(),
  quantity: Type.Integer({ minimum: 1, maximum: MAX_UNITS, description: 'units' }),
};

const someUnits = (description: string) => Type.Array(closed(units), { maxItems: MAX_LINES, description });

const { amount, amount_minor } = amountFields;

const line = closed({
  ...units,
  sku: text('as it was when it was sold', MAX_SKU),
  name: text('as it was when it was sold'),
  unit_price: amount,
  unit_price_minor: amount_minor,
  amount,
  amount_minor,
});

const order = {
  purchase_id: uuid(),
  payment_id: uuid('what it is paid by'),
  customer_id: text('who buys, and pays'),
  ...amountFields,
  trace_id: traceId(),
};

export const purchaseCreated = defineEvent({
  type: 'purchase.created',
  version: 1,
  description: 'A purchase was accepted: units are to be reserved for it, and then it is to be paid.',
  schema: closed({
    ...order,
    status: oneOf(['PENDING']),
    method: oneOf(PAYMENT_METHODS),
    lines: Type.Array(line, { minItems: 1, maxItems: MAX_LINES, description: 'each of another product' }),
    payment_token: Type.Optional(text('the card token, never a card number')),
    reference: Type.Optional(text("the caller's own name of the purchase")),
    created_at: timestamp('when'),
    reserve_until: timestamp('until when units are to be reserved; after that it is cancelled'),
  }),
});

export const purchasePaymentRequested = defineEvent({
  type: 'purchase.payment.requested',
  version: 1,
  description: 'Everything is reserved: the purchase asks for its money.',
  schema: closed({
    ...order,
    method: oneOf(PAYMENT_METHODS),
    payment_token: Type.Optional(text('the card token, never a card number')),
    requested_at: timestamp('when'),
    pay_until: timestamp('until when a payment is to be begun; after that the purchase is cancelled'),
  }),
});

export const purchaseConfirmed = defineEvent({
  type: 'purchase.confirmed',
  version: 1,
  description: 'The purchase is paid: its units are to leave the house.',
  schema: closed({ ...order, lines: someUnits('all of it'), confirmed_at: timestamp('when') }),
});

export const purchaseCompleted = defineEvent({
  type: 'purchase.completed',
  version: 1,
  description: 'Paid, and the units have left the house.',
  schema: closed({ ...order, completed_at: timestamp('when') }),
});

/** Why a purchase was cancelled. */
export const CANCELLATIONS = [
  'cancelled',
  'out_of_stock',
  'too_many_reservations',
  'reservation_timeout',
  'payment_declined',
  'payment_failed',
  'payment_timeout',
  'payment_refunded',
] as const;
export type Cancellation = (typeof CANCELLATIONS)[number];

const returnNumber = Type.Integer({ minimum: 1, description: '1 for the first return of the purchase' });

export const purchaseCancelled = defineEvent({
  type: 'purchase.cancelled',
  version: 1,
  description: 'The purchase has ended without a sale: what was kept is released, what had left the house comes back.',
  schema: closed({
    ...order,
    reason: oneOf(CANCELLATIONS),
    detail: Type.Optional(text('the reason of the payment, the product, or what the caller said')),
    release: someUnits('what may be kept for it'),
    restock: someUnits('what had left the house'),
    return_number: returnNumber,
    cancelled_at: timestamp('when'),
  }),
});

export const purchaseReturned = defineEvent({
  type: 'purchase.returned',
  version: 1,
  description: 'Some of a completed purchase comes back; the rest stays sold.',
  schema: closed({
    ...order,
    reason: text('as the caller says'),
    restock: someUnits('what comes back'),
    return_number: returnNumber,
    returned_at: timestamp('when'),
  }),
});

const refund = {
  ...order,
  refund_id: uuid(),
  refund_number: Type.Integer({ minimum: 1, description: '1 for the first refund of the purchase' }),
};

export const purchaseRefundRequested = defineEvent({
  type: 'purchase.refund.requested',
  version: 1,
  description: 'Money of a purchase is to be given back: of one that was cancelled, or of units that came back.',
  schema: closed({
    ...refund,
    round: Type.Integer({ minimum: 1, description: 'one more for each refund of this number that failed' }),
    attempt: Type.Integer({ minimum: 1, description: 'how often it was asked for' }),
    reason: text('why'),
    requested_at: timestamp('when'),
  }),
});

export const purchaseRefunded = defineEvent({
  type: 'purchase.refunded',
  version: 1,
  description: 'Money of a purchase was given back.',
  schema: closed({
    ...order,
    refund_id: uuid("the purchase's own refund, or another that gave all of it back"),
    status: oneOf(['PARTIALLY_REFUNDED', 'REFUNDED'], 'of the payment, after this refund'),
    refunded_minor: count('all refunds of the payment so far, in minor units'),
    refunded_at: timestamp('when'),
  }),
});

export const purchaseRefundFailed = defineEvent({
  type: 'purchase.refund.failed',
  version: 1,
  description:
    'Money of a purchase could not be given back. It is tried again a few times, then it waits for a person.',
  schema: closed({ ...refund, error: text('a stable code'), failed_at: timestamp('when') }),
});

export const purchaseSagaAdvanced = defineEvent({
  type: 'purchase.saga.advanced',
  version: 1,
  description: 'One product of the purchase was answered for, or a step takes too long. Internal.',
  schema: closed({
    purchase_id: uuid(),
    state: oneOf(PURCHASE_STATES),
    attempt: Type.Integer({ minimum: 1, description: 'how often the step was waited for' }),
    product_id: Type.Optional(uuid('what was answered for')),
    reason: text('`reserved`, `committed`, or why not'),
    trace_id: traceId(),
    at: timestamp('when'),
  }),
});
