import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import type { Answer, Api } from '../../support/api.ts';
import { balanceOf, finalPayment, move, walletWith } from '../../support/money.ts';
import { startPlatform } from '../../support/platform.ts';
import { until } from '../../support/until.ts';

const platform = await startPlatform();
let api: Api = platform.api;
const PAYMENT = { amount: '12.34', currency: 'USD', method: 'credit_card', customer_id: 'customer-1' };

function keyed(path: string, body: unknown, key: string): Promise<Answer> {
  return api.post(path, body, { 'idempotency-key': key });
}

/** How many payments of a customer are in the log. */
async function paymentsOf(customer: string): Promise<number> {
  const [row] = await platform.query<{ count: number }>(
    "SELECT count(*) FROM events WHERE event_type = 'payments.created' AND event_data ->> 'customer_id' = $1",
    [customer],
  );
  return row!.count;
}

test('the same key and request again get the first answer, with and without the base path', async () => {
  const key = randomUUID();
  const first = await keyed('/payments', PAYMENT, key);
  assert.equal(first.status, 201);
  assert.equal(first.headers.get('idempotency-replayed'), null);
  await finalPayment(api, first.body.id);
  for (const path of ['/payments', '/api/v1/payments']) {
    const again = await keyed(path, PAYMENT, key);
    assert.deepEqual([again.status, again.text], [201, first.text]);
    assert.equal(again.headers.get('idempotency-replayed'), 'true');
  }
});

test('the same fields in another order and spacing are the same request', async () => {
  const key = randomUUID();
  const first = await keyed('/payments', '{"amount":1,"currency":"USD","method":"credit_card","customer_id":"c"}', key);
  const again = await keyed(
    '/payments',
    '{ "customer_id": "c", "method": "credit_card", "currency": "USD", "amount": 1 }',
    key,
  );
  assert.equal(again.text, first.text);
});

test('the same key with another body is refused, and takes nothing', async () => {
  const key = randomUUID();
  await keyed('/payments', { ...PAYMENT, customer_id: 'other-body' }, key);
  const other = await keyed('/payments', { ...PAYMENT, customer_id: 'other-body', amount: '12.35' }, key);
  assert.deepEqual([other.status, other.body.code], [422, 'idempotency_key_reused']);
  assert.equal(await paymentsOf('other-body'), 1);
});

test('a key that is too long or not printable is refused', async () => {
  for (const key of ['k'.repeat(256), 'a\tb', '']) {
    const { status, body } = await keyed('/payments', { ...PAYMENT, customer_id: 'bad-key' }, key);
    assert.deepEqual([status, body.code], [422, 'idempotency_key_invalid'], JSON.stringify(key));
  }
  assert.equal(await paymentsOf('bad-key'), 0);
  assert.equal((await keyed('/payments', PAYMENT, 'k'.repeat(255))).status, 201);
});

test('while the first is running, the second is told so', async () => {
  const key = randomUUID();
  const payment = { ...PAYMENT, customer_id: 'in-progress' };
  const release = await platform.lock('idempotency_keys');
  const first = keyed('/payments', payment, key);
  await until('the first waits for the lock', async () => {
    const waiting = await platform.query("SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'RowExclusiveLock'");
    return waiting.length > 0;
  });
  const second = await keyed('/payments', payment, key);
  assert.deepEqual([second.status, second.body.code], [409, 'idempotency_key_in_progress']);
  assert.match(second.headers.get('retry-after') ?? '', /^\d+$/);
  await release();
  assert.equal((await first).status, 201);
  assert.equal((await keyed('/payments', payment, key)).text, (await first).text);
  assert.equal(await paymentsOf('in-progress'), 1);
});

test('fifty at once with one key take effect once', async () => {
  const key = randomUUID();
  const payment = { ...PAYMENT, customer_id: 'fifty' };
  const answers = await Promise.all(Array.from({ length: 50 }, () => keyed('/payments', payment, key)));
  const ids = new Set(answers.filter(({ status }) => status === 201).map(({ body }) => body.id));
  assert.equal(ids.size, 1);
  for (const { status, body } of answers) {
    assert.ok(status === 201 || body.code === 'idempotency_key_in_progress', body.code);
  }
  await finalPayment(api, [...ids][0]);
  assert.equal(await paymentsOf('fifty'), 1);
});

test('wallets, movements and batches take keys too', async () => {
  const user = await walletWith(api, '10.00');
  const debit = { amount: '1.00', reason: 'test', reference: randomUUID() };
  const opening = { user_id: `${user}-2`, currency: 'USD' };
  for (const [path, body] of [
    [`/wallets/${user}/debits`, debit],
    ['/wallets', opening],
    ['/payments/batch', { payments: [PAYMENT, { amount: 0 }] }],
  ] as const) {
    const key = randomUUID();
    const first = await keyed(path, body, key);
    assert.ok(first.status < 300, first.text);
    assert.deepEqual((await keyed(path, body, key)).body, first.body);
  }
  assert.equal(await balanceOf(api, user), 900);
});

test('a refusal is an answer too: the same key gets it again although it would succeed now', async () => {
  const user = await walletWith(api, '0');
  const key = randomUUID();
  const debit = { amount: '5.00', reason: 'test', reference: randomUUID() };
  const first = await keyed(`/wallets/${user}/debits`, debit, key);
  assert.deepEqual([first.status, first.body.code], [422, 'insufficient_funds']);
  await move(api, 'credits', user, '5.00', randomUUID());
  assert.deepEqual((await keyed(`/wallets/${user}/debits`, debit, key)).body, first.body);
  assert.equal(await balanceOf(api, user), 500);
});

test('after a restart a key still gets the very answer that was stored', async () => {
  const key = randomUUID();
  const first = await keyed('/payments', PAYMENT, key);
  api = await platform.restart(platform.api);
  const again = await keyed('/payments', PAYMENT, key);
  assert.deepEqual([again.status, again.text], [201, first.text]);
  const other = await keyed('/payments', { ...PAYMENT, amount: 1 }, key);
  assert.deepEqual([other.status, other.body.code], [422, 'idempotency_key_reused']);
});
