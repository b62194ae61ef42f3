import { type TProperties, Type } from '@sinclair/typebox';
import { defineEvent } from '#kernel/core/event.ts';
import { count, oneOf, text, timestamp, traceId, uuid } from '#kernel/core/schemas.ts';

/** The aggregate type of stock: one stream per product, under the product's id. */
export const STOCK = 'stock';

/** Units of one product that there may be. */
export const MAX_UNITS = 1_000_000_000;

/** How much there is of a product after the event. */
const levels = {
  product_id: uuid(),
  on_hand: count('units in the house'),
  reserved: count('of these, promised to purchases that are not paid yet'),
  available: count('on_hand less reserved'),
  threshold: count('with so few available units stock is low; 0: never'),
};

const closed = <Properties extends TProperties>(properties: Properties) =>
  Type.Object(properties, { additionalProperties: false });

export const stockUpdated = defineEvent({
  type: 'inventory.stock.updated',
  version: 1,
  description: 'Units came in or went out, or the threshold was set.',
  schema: closed({
    ...levels,
    change: Type.Integer({ minimum: -MAX_UNITS, maximum: MAX_UNITS, description: 'of on_hand' }),
    reason: text('as the caller says; `returned` for what a purchase gives back'),
    reference: Type.Optional(text("the caller's own name of the adjustment")),
    purchase_id: Type.Optional(uuid('the purchase that gives it back')),
    return_number: Type.Optional(Type.Integer({ minimum: 1, description: 'the how-manieth return of that purchase' })),
    trace_id: traceId(),
    updated_at: timestamp('when'),
  }),
});

const alert = closed({ ...levels, trace_id: traceId(), at: timestamp('when') });

export const stockLow = defineEvent({
  type: 'inventory.stock.low',
  version: 1,
  description: 'No more units are available than the threshold says, and more were before.',
  schema: alert,
});

export const stockOut = defineEvent({
  type: 'inventory.stock.out',
  version: 1,
  description: 'No unit is available any more.',
  schema: alert,
});

/** Each of these events is of one product: a purchase of several has one of each. */
const lines = Type.Array(
  closed({ product_id: uuid(), quantity: Type.Integer({ minimum: 1, maximum: MAX_UNITS, description: 'units' }) }),
  { minItems: 1, maxItems: 1 },
);

const ofPurchase = { ...levels, purchase_id: uuid(), lines, trace_id: traceId(), at: timestamp('when') };

export const stockReserved = defineEvent({
  type: 'inventory.reserved',
  version: 1,
  description: 'Units are kept for a purchase until it is paid, for a time.',
  schema: closed({ ...ofPurchase, expires_at: timestamp('until when') }),
});

/** Why units are not given to a purchase. */
export const RESERVATION_REFUSALS = ['out_of_stock', 'too_many_reservations'] as const;
export type ReservationRefusal = (typeof RESERVATION_REFUSALS)[number];

export const reservationDeclined = defineEvent({
  type: 'inventory.reservation.declined',
  version: 1,
  description: 'A purchase cannot have so many units: not kept for it, or, paid too late, not any more.',
  schema: closed({ ...ofPurchase, reason: oneOf(RESERVATION_REFUSALS) }),
});

export const stockReleased = defineEvent({
  type: 'inventory.released',
  version: 1,
  description: 'What was kept for a purchase is available again.',
  schema: closed({ ...ofPurchase, reason: oneOf(['cancelled', 'expired']) }),
});

export const stockCommitted = defineEvent({
  type: 'inventory.committed',
  version: 1,
  description: 'The units of a purchase that is paid left the house.',
  schema: closed(ofPurchase),
});
