import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NOW } from '../../../tests/support/given.ts';
import { PAYMENT_ID, refundId } from '../../../tests/support/payments.ts';
import { recorded } from '../../../tests/support/recorded.ts';
import { PAYMENT } from './contract.ts';
import { paymentsService } from './index.ts';
import { DEFAULT_PAYMENT_SETTINGS } from './payment.decider.ts';

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
];

for (const [type, data, command] of REACTIONS) {
  test(`${type} ${JSON.stringify(data)} leads to ${JSON.stringify(command)}`, () => {
    const [event] = recorded('elsewhere', PAYMENT_ID, [{ type, data }]);
    assert.ok(event !== undefined);
    const expected = command === undefined ? [] : [{ aggregate: PAYMENT, id: PAYMENT_ID, command }];
    assert.deepEqual(service.reactions[type]?.(event), expected);
  });
}

test('every message that it consumes is tested', () => {
  assert.deepEqual(Object.keys(service.reactions).sort(), [...new Set(REACTIONS.map(([type]) => type))].sort());
});
