import { type TProperties, Type } from '@sinclair/typebox';
import { defineEvent } from '#kernel/core/event.ts';
import { count, text, timestamp, traceId, uuid } from '#kernel/core/schemas.ts';

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
    reason: text('as the caller says'),
    reference: Type.Optional(text("the caller's own name of the adjustment")),
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
