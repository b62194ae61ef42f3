import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NOW } from '../../../tests/support/given.ts';
import { PAYMENT_ID, refundId, TRACE_ID } from '../../../tests/support/payments.ts';
import { recorded } from '../../../tests/support/recorded.ts';
import { PAYMENT } from './contract.ts';
import { paymentsService } from './index.ts';
import { DEFAULT_PAYMENT_SETTINGS } from './payment.decider.ts';

const AT = '2026-11-22T10:00:00.000Z';
const PURCHASE_ID = '019aaf00-0000-7000-8000-000000000002';
const service = paymentsService(DEFAULT_PAYMENT_SETTINGS);
const ids = { payment_id: PAYMENT_ID, refund_id: refundId(1) };
const refundAnswered = { type: 'RefundAnswered', refundId: refundId(1) };

/** A message, and the command that it leads to; undefined: none. */
const REACTIONS: readonly (readonly [type: string, data: object, command: object | undefined])[] = [
  [
    'payments.checked',
    { id: PAYMENT_ID, status: 'DECLINED', reason: 'fraud_detected' },
    { type: 'FraudChecked', status: 'DECLINED', reason: 'fraud_detected' },
  ],
  [
    'wallet.debited',
    { payment_id: PAYMENT_ID, reason: 'success' },
    { type: 'WalletAnswered', outcome: 'debited', reason: 'success' },
  ],
  ['wallet.debited', { reason: 'withdrawal' }, undefined],
  [
    'wallet.debit.declined',
    { payment_id: PAYMENT_ID, reason: 'insufficient_funds' },
    { type: 'WalletAnswered', outcome: 'declined', reason: 'insufficient_funds' },
  ],
  ['wallet.credited', { ...ids, reason: 'refund' }, { ...refundAnswered, outcome: 'succeeded', reason: 'refund' }],
  ['wallet.credited', { reason: 'deposit' }, undefined],
  [
    'wallet.credit.declined',
    { ...ids, reason: 'balance_too_large' },
    { ...refundAnswered, outcome: 'declined', reason: 'balance_too_large' },
  ],
  ['gateway.charge.sent', { payment_id: PAYMENT_ID }, { type: 'ChargeSent' }],
  [
    'gateway.charge.answered',
    { payment_id: PAYMENT_ID, status: 'FAILED', reason: 'card_declined', declined_by: 'issuer' },
    { type: 'ChargeAnswered', status: 'FAILED', reason: 'card_declined', declinedBy: 'issuer' },
  ],
  [
    'gateway.charge.answered',
    { payment_id: PAYMENT_ID, status: 'TIMEOUT', reason: 'timeout', next_attempt_at: '2026-11-22T10:00:00.000Z' },
    { type: 'ChargeAnswered', status: 'TIMEOUT', reason: 'timeout', nextAttemptAt: NOW },
  ],
  [
    'gateway.refund.answered',
    { ...ids, status: 'SUCCESS', reason: 'success' },
    { ...refundAnswered, outcome: 'succeeded', reason: 'success' },
  ],
  [
    'gateway.refund.answered',
    { ...ids, status: 'FAILED', reason: 'gateway_error' },
    { ...refundAnswered, outcome: 'declined', reason: 'gateway_error' },
  ],
  ['gateway.refund.answered', { ...ids, status: 'TIMEOUT', reason: 'timeout' }, undefined],
  [
    'purchase.refund.requested',
    { ...ids, purchase_id: PURCHASE_ID, amount_minor: 850, reason: 'cancelled' },
    { type: 'RefundPurchase', refundId: refundId(1), amountMinor: 850, reason: 'cancelled' },
  ],
];

test('purchase.payment.requested leads to the payment that it names', () => {
  const ordered = { customer_id: 'ann', method: 'credit_card', amount_minor: 850, currency: 'GBP', trace_id: TRACE_ID };
  const data = {
    purchase_id: PURCHASE_ID,
    payment_id: PAYMENT_ID,
    ...ordered,
    payment_token: 'tok_visa',
    pay_until: AT,
  };
  const [event] = recorded('purchase', PURCHASE_ID, [{ type: 'purchase.payment.requested', data }]);
  const command = {
    type: 'CreatePayment',
    paymentId: PAYMENT_ID,
    customerId: 'ann',
    method: 'credit_card',
    amountMinor: 850,
    currency: 'GBP',
    traceId: TRACE_ID,
    paymentToken: 'tok_visa',
    metadata: { purchase_id: PURCHASE_ID },
    notAfter: NOW,
  };
  const expected = [{ aggregate: PAYMENT, id: PAYMENT_ID, command, fresh: true }];
  assert.deepEqual(service.reactions['purchase.payment.requested']?.(event!), expected);
});

for (const [type, data, command] of REACTIONS) {
  test(`${type} ${JSON.stringify(data)} leads to ${JSON.stringify(command)}`, () => {
    const [event] = recorded('elsewhere', PAYMENT_ID, [{ type, data }]);
    assert.ok(event !== undefined);
    const expected = command === undefined ? [] : [{ aggregate: PAYMENT, id: PAYMENT_ID, command }];
    assert.deepEqual(service.reactions[type]?.(event), expected);
  });
}

test('every message that it consumes is tested', () => {
  const tested = new Set(['purchase.payment.requested', ...REACTIONS.map(([type]) => type)]);
  assert.deepEqual(Object.keys(service.reactions).sort(), [...tested].sort());
});
