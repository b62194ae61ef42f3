import { type Static, Type } from '@sinclair/typebox';
import { RequestError } from '#kernel/core/errors.ts';
import { toMajor } from '#kernel/core/money.ts';
import { oneOf } from '#kernel/core/schemas.ts';
import { timestampOrNull, toTimestamp } from '#kernel/core/timestamp.ts';
import { nullableText } from '#kernel/http/operation.ts';
import type { Executor } from '#kernel/processor/execute.ts';
import { PAYMENT_METHODS } from '#services/payments/contract.ts';
import { PURCHASE, PURCHASE_STATES, PURCHASE_STATUSES, paymentIdOf } from './contract.ts';
import { nextDeadlineOf, type Purchase, type PurchaseLine, troubleOf } from './saga.ts';

const lineSchema = Type.Object({
  product_id: Type.String(),
  sku: Type.String(),
  name: Type.String(),
  quantity: Type.Integer(),
  returned: Type.Integer({ description: 'units that came back' }),
  unit_price: Type.Number(),
  unit_price_minor: Type.Integer(),
  amount: Type.Number({ description: 'quantity × unit_price, in major units' }),
  amount_minor: Type.Integer(),
});

export const purchaseSchema = Type.Object({
  id: Type.String(),
  status: oneOf(PURCHASE_STATUSES),
  reason: nullableText('why it was cancelled, a stable code'),
  detail: nullableText('the reason of the payment, the product, or what the caller said'),
  customer_id: Type.String(),
  reference: nullableText('your own name of it'),
  method: oneOf(PAYMENT_METHODS),
  amount: Type.Number({ description: 'the sum of its lines, in major units' }),
  amount_minor: Type.Integer({ description: 'in minor units, exact' }),
  currency: Type.String(),
  lines: Type.Array(lineSchema),
  payment_id: Type.String({ description: 'what it is paid by; it exists once everything is reserved' }),
  refunded: Type.Number(),
  refunded_minor: Type.Integer(),
  created_at: Type.String(),
  completed_at: nullableText('when it was completed, or cancelled before that'),
  trace_id: Type.String(),
  saga: Type.Object({
    state: oneOf(PURCHASE_STATES),
    attempt: Type.Integer({ description: 'of the present step, 1 for the first' }),
    deadline_at: nullableText('when the step, or a refund, must have been answered'),
    stuck_reason: nullableText('why it takes longer than it should'),
  }),
});
export type PurchaseView = Static<typeof purchaseSchema>;

export function purchaseView(purchase: Purchase): PurchaseView {
  const { currency, amountMinor, refundedMinor } = purchase;
  return {
    id: purchase.id,
    status: purchase.status,
    reason: purchase.reason,
    detail: purchase.detail,
    customer_id: purchase.customerId,
    reference: purchase.reference,
    method: purchase.method,
    amount: toMajor(amountMinor, currency),
    amount_minor: amountMinor,
    currency,
    lines: purchase.lines.map((line) => lineView(line, currency)),
    payment_id: paymentIdOf(purchase.id),
    refunded: toMajor(refundedMinor, currency),
    refunded_minor: refundedMinor,
    created_at: toTimestamp(purchase.createdAt),
    completed_at: timestampOrNull(purchase.completedAt),
    trace_id: purchase.traceId,
    saga: {
      state: purchase.state,
      attempt: purchase.attempt,
      deadline_at: timestampOrNull(nextDeadlineOf(purchase)),
      stuck_reason: troubleOf(purchase),
    },
  };
}

function lineView(line: PurchaseLine, currency: string): Static<typeof lineSchema> {
  const { productId, sku, name, quantity, returned, unitPriceMinor } = line;
  return {
    product_id: productId,
    sku,
    name,
    quantity,
    returned,
    unit_price: toMajor(unitPriceMinor, currency),
    unit_price_minor: unitPriceMinor,
    amount: toMajor(unitPriceMinor * quantity, currency),
    amount_minor: unitPriceMinor * quantity,
  };
}

/**
 * The state of a purchase as its stream has it now.
 * @throws RequestError `purchase_not_found`
 */
export async function loadPurchase(executor: Executor, id: string): Promise<Purchase> {
  const { state, position } = await executor.load<Purchase>(PURCHASE, id);
  if (position === 0) throw new RequestError('purchase_not_found', 'there is no such purchase');
  return state;
}
