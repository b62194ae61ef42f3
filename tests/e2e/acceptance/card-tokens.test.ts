import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Answer } from '../../support/api.ts';
import { discrepancies, recordedCharges } from '../../support/gateway-books.ts';
import { finalPayment } from '../../support/money.ts';
import { startPlatform } from '../../support/platform.ts';
import { until } from '../../support/until.ts';

// Calls that hang are given up soon; tok_slow then is one of them, and found by a look-up.
const platform = await startPlatform({ GATEWAY_DEADLINE_MS: '500' });
const { api, simulator } = platform;

const ENDS: readonly (readonly [token: string | undefined, status: string, reason: string])[] = [
  [undefined, 'APPROVED', 'success'],
  ['tok_visa', 'APPROVED', 'success'],
  ['tok_mastercard', 'APPROVED', 'success'],
  ['tok_declined', 'DECLINED', 'card_declined'],
  ['tok_insufficient_funds', 'DECLINED', 'insufficient_funds'],
  ['tok_stolen', 'DECLINED', 'stolen_card'],
  ['tok_slow', 'APPROVED', 'success'],
  ['tok_async', 'APPROVED', 'success'],
  ['tok_timeout_charged', 'APPROVED', 'success'],
  ['tok_timeout_not_charged', 'FAILED', 'gateway_timeout'],
  ['tok_error_then_ok', 'APPROVED', 'success'],
  ['tok_webhook_twice', 'APPROVED', 'success'],
  ['tok_webhook_late', 'APPROVED', 'success'],
  ['tok_nobody_knows', 'FAILED', 'unknown_token'],
];

async function charge(payment_token: string | undefined): Promise<string> {
  const payment = {
    amount: '9.99',
    currency: 'EUR',
    method: 'credit_card',
    customer_id: `customer of ${payment_token}`,
  };
  const { status, body, text } = await api.post('/payments', { ...payment, payment_token });
  assert.equal(status, 201, text);
  return body.id;
}

// All at once, since some take their time.
const ids = await Promise.all(ENDS.map(([token]) => charge(token)));

for (const [index, [token, status, reason]] of ENDS.entries()) {
  test(`${token ?? 'no token'}: ${status}, ${reason}`, async () => {
    const id = ids[index]!;
    const payment = await finalPayment(api, id);
    assert.deepEqual([payment.status, payment.reason], [status, reason]);
    const taken = (await recordedCharges(simulator)).filter((each) => each.reference === id && each.taken);
    assert.equal(taken.length, status === 'APPROVED' ? 1 : 0);
  });
}

test('while the outcome is unknown, the payment says so: what is known, and when it is asked next', async () => {
  const id = await charge('tok_timeout_not_charged');
  let payment: Answer['body'];
  await until('the outcome is unknown', async () => {
    payment = (await api.get(`/payments/${id}`)).body;
    return payment.saga.next_attempt_at !== null;
  });
  assert.deepEqual([payment.status, payment.saga.state], ['PENDING', 'AWAITING_RESPONSE']);
  assert.ok(payment.saga.stuck_reason !== null, JSON.stringify(payment.saga));
  const { body } = await api.get('/api/v1/sagas?stuck=true');
  assert.ok(body.data.some((saga: { payment_id: string }) => saga.payment_id === id));
  const timeline: readonly { type?: string; summary: string }[] = (await api.get(`/payments/${id}/timeline`)).body.data;
  assert.ok(timeline.some(({ summary }) => summary.startsWith('gateway.charge.answered TIMEOUT')));
});

test('what the gateway took is what the platform believes', async () => {
  assert.deepEqual(
    (await discrepancies(platform)).filter(({ open }) => !open),
    [],
  );
});
