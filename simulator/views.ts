import type { Charge, Refund } from './record.ts';

/** A charge as the API and webhooks show it. `transaction_id` is null unless money was taken. */
export function chargeView(charge: Charge) {
  return { ...commonView(charge), payment_token: charge.token };
}

/** A refund as the API and webhooks show it. `transaction_id` is null unless money was given back. */
export function refundView(refund: Refund) {
  return { ...commonView(refund), charge_id: refund.charge.id, charge_reference: refund.charge.reference };
}

/** A charge as the simulator's own record shows it: with its refunds, and whether money was taken. */
export function recordedChargeView(charge: Charge) {
  const made = charge.refunds.filter((refund) => refund.status === 'succeeded');
  return {
    ...chargeView(charge),
    taken: charge.status === 'succeeded',
    refunded_minor: made.reduce((sum, refund) => sum + refund.amountMinor, 0),
    refunds: charge.refunds.map(refundView),
  };
}

/** A charge or a refund, whichever it is. */
export function operationView(operation: Charge | Refund) {
  return operation.kind === 'charge' ? chargeView(operation) : refundView(operation);
}

function commonView(operation: Charge | Refund) {
  return {
    id: operation.id,
    status: operation.status,
    reason: operation.reason,
    reference: operation.reference,
    amount_minor: operation.amountMinor,
    currency: operation.currency,
    transaction_id: operation.status === 'succeeded' ? `txn_${operation.id}` : null,
    created_at: new Date(operation.createdAt).toISOString(),
    idempotency_key: operation.idempotencyKey,
  };
}
