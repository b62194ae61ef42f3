import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Answer } from '../../support/api.ts';
import { assertLedgerBalanced, balanceOf, pay, refund, walletWith } from '../../support/money.ts';
import { startPlatform } from '../../support/platform.ts';
import { until } from '../../support/until.ts';

const platform = await startPlatform({ GATEWAY_DEADLINE_MS: '500' });
const { api, simulator } = platform;
const AT_ONCE = 50;

async function walletPayment(amount = '100.00') {
  const customer_id = await walletWith(api, '250.00');
  return pay(api, { method: 'wallet', customer_id, amount });
}

function ask(id: string, fields: Readonly<Record<string, unknown>>): Promise<Answer> {
  return api.post(`/payments/${id}/refunds`, { reason: 'test', ...fields });
}

/** Waits until the payment shows this: its row follows the log within moments. */
function shows(id: string, status: string, refundedMinor: number): Promise<void> {
  return until(`payment ${id} is ${status}, ${refundedMinor} refunded`, async () => {
    const { body } = await api.get(`/payments/${id}`);
    return body.status === status && body.refunded_minor === refundedMinor;
  });
}

/** What the gateway gave back of a payment, in minor units. */
async function givenBack(id: string): Promise<number> {
  const { body } = await simulator.get('/charges?limit=1000');
  return body.data.find(({ reference }: { reference: string }) => reference === id).refunded_minor;
}

test('a wallet payment is refunded in parts, then in full, to the wallet', async () => {
  const payment = await walletPayment();
  assert.deepEqual([payment.status, await balanceOf(api, payment.customer_id)], ['APPROVED', 15_000]);
  assert.equal((await refund(api, payment.id, { amount: '30.01' })).status, 'SUCCEEDED');
  await shows(payment.id, 'PARTIALLY_REFUNDED', 3001);
  assert.equal(await balanceOf(api, payment.customer_id), 18_001);
  assert.equal((await refund(api, payment.id)).amount_minor, 6999);
  await shows(payment.id, 'REFUNDED', 10_000);
  assert.equal(await balanceOf(api, payment.customer_id), 25_000);
  const more = await ask(payment.id, { amount: '0.01' });
  assert.deepEqual([more.status, more.body.code], [422, 'refund_exceeds_payment']);
  await assertLedgerBalanced(api);
});

test('a card payment is refunded to the card, and no wallet is touched', async () => {
  const customer_id = await walletWith(api, '1.00');
  const payment = await pay(api, { amount: '20.00', customer_id, payment_token: 'tok_mastercard' });
  assert.equal((await refund(api, payment.id, { amount: '5.00' })).status, 'SUCCEEDED');
  await shows(payment.id, 'PARTIALLY_REFUNDED', 500);
  assert.equal((await refund(api, payment.id, { amount: '15.00' })).status, 'SUCCEEDED');
  await shows(payment.id, 'REFUNDED', 2000);
  assert.equal(await givenBack(payment.id), 2000);
  assert.equal(await balanceOf(api, customer_id), 100);
  await assertLedgerBalanced(api);
});

test('a refund above what is left, of nothing, or of a payment that took nothing', async () => {
  const payment = await walletPayment();
  const declined = await pay(api, { payment_token: 'tok_declined' });
  for (const [id, fields, status, code] of [
    [payment.id, { amount: '100.01' }, 422, 'refund_exceeds_payment'],
    [payment.id, { amount: 0 }, 422, 'amount_not_positive'],
    [payment.id, { amount: '-1' }, 422, 'amount_not_positive'],
    [payment.id, { amount: '0.001' }, 422, 'amount_too_precise'],
    [payment.id, { amount: 'NaN' }, 422, 'invalid_amount'],
    [declined.id, {}, 409, 'payment_not_refundable'],
  ] as const) {
    const answer = await ask(id, fields);
    assert.deepEqual([answer.status, answer.body.code], [status, code], answer.text);
  }
  await shows(payment.id, 'APPROVED', 0);
  assert.equal(await balanceOf(api, payment.customer_id), 15_000);
});

for (const method of ['wallet', 'credit_card']) {
  test(`fifty refunds at once of a ${method} payment never pass what was taken`, async () => {
    const payment =
      method === 'wallet' ? await walletPayment() : await pay(api, { amount: '100.00', customer_id: 'fifty' });
    const answers = await Promise.all(Array.from({ length: AT_ONCE }, () => ask(payment.id, { amount: '7.00' })));
    const accepted = answers.filter(({ status }) => status === 201);
    assert.equal(accepted.length, 14);
    for (const { status, body } of answers) assert.ok(status === 201 || body.code === 'refund_exceeds_payment');
    await shows(payment.id, 'PARTIALLY_REFUNDED', 14 * 700);
    const { body } = await api.get(`/payments/${payment.id}/refunds`);
    assert.equal(body.data.length, 14);
    if (method === 'wallet') assert.equal(await balanceOf(api, payment.customer_id), 15_000 + 9_800);
    else assert.equal(await givenBack(payment.id), 9_800);
    assert.equal((await refund(api, payment.id)).amount_minor, 200);
    await shows(payment.id, 'REFUNDED', 10_000);
    await assertLedgerBalanced(api);
  });
}

test('a failed refund makes its amount refundable again', async () => {
  const payment = await pay(api, { amount: '10.00', payment_token: 'tok_refund_fails' });
  for (let tries = 0; tries < 3; tries++) {
    const { status, error } = await refund(api, payment.id);
    assert.deepEqual([status, error], ['FAILED', 'refund_declined']);
    await shows(payment.id, 'APPROVED', 0);
  }
  assert.equal(await givenBack(payment.id), 0);
});

test('a refund that the gateway makes later, or never answers, is made once', async () => {
  for (const payment_token of ['tok_refund_async', 'tok_refund_timeout']) {
    const payment = await pay(api, { amount: '10.00', payment_token });
    assert.equal((await refund(api, payment.id, { amount: '4.00' })).status, 'SUCCEEDED');
    await shows(payment.id, 'PARTIALLY_REFUNDED', 400);
    assert.equal(await givenBack(payment.id), 400);
  }
});

test('a refund by hand goes the same way', async () => {
  const payment = await walletPayment();
  const asked = await api.post('/wallets/refund', { payment_id: payment.id, amount: '1.00', reason: 'complaint' });
  assert.equal(asked.status, 201, asked.text);
  await shows(payment.id, 'PARTIALLY_REFUNDED', 100);
  assert.equal(await balanceOf(api, payment.customer_id), 15_100);
});
