import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { giveUp, startReceiver, startSimulator, until } from './test-support.ts';
import { TOKENS } from './tokens.ts';

for (const payment_token of [
  'tok_visa',
  'tok_mastercard',
  'tok_refund_fails',
  'tok_refund_async',
  'tok_refund_timeout',
]) {
  test(`${payment_token} is approved at once`, async (t) => {
    const simulator = await startSimulator(t);
    const { status, body } = await simulator.charge('k1', { payment_token });
    assert.equal(status, 201);
    assert.deepEqual([body.status, body.reason], ['succeeded', 'approved']);
    assert.deepEqual([body.amount_minor, body.currency, body.reference], [1000, 'USD', 'pay-k1']);
    assert.match(body.id, /^ch_/);
    assert.match(body.transaction_id, /^txn_/);
    assert.ok(Number.isFinite(Date.parse(body.created_at)));
  });
}

for (const [payment_token, reason] of [
  ['tok_declined', 'card_declined'],
  ['tok_insufficient_funds', 'insufficient_funds'],
  ['tok_stolen', 'stolen_card'],
]) {
  test(`${payment_token} is declined: ${reason}`, async (t) => {
    const simulator = await startSimulator(t);
    const { status, body } = await simulator.charge('k1', { payment_token });
    assert.equal(status, 201);
    assert.deepEqual([body.status, body.reason, body.transaction_id], ['declined', reason, null]);
    const { body: record } = await simulator.get('/charges');
    assert.equal(record.data[0].taken, false);
  });
}

test('a charge without a token is taken as tok_visa', async (t) => {
  const simulator = await startSimulator(t);
  const { body } = await simulator.charge('k1');
  assert.deepEqual([body.status, body.payment_token], ['succeeded', 'tok_visa']);
});

test('an unknown token is refused, and nothing is recorded', async (t) => {
  const simulator = await startSimulator(t);
  const { status, body } = await simulator.charge('k1', { payment_token: 'tok_nonsense' });
  assert.deepEqual([status, body.code], [422, 'unknown_token']);
  assert.deepEqual((await simulator.get('/charges')).body.data, []);
});

test('tok_slow is pending until its delay is over, then approved; a second call with its key waits too', async (t) => {
  const simulator = await startSimulator(t, { slowMs: 1_500 });
  const first = simulator.charge('k1', { payment_token: 'tok_slow' });
  await until(async () => (await simulator.get('/v1/charges?idempotency_key=k1')).status === 200);
  assert.equal((await simulator.get('/v1/charges?idempotency_key=k1')).body.status, 'pending');
  const second = simulator.charge('k1', { payment_token: 'tok_slow' });
  const [one, two] = await Promise.all([first, second]);
  assert.deepEqual([one.status, one.body.status], [201, 'succeeded']);
  assert.deepEqual([two.status, two.body], [200, one.body]);
});

test('tok_async is pending, and approved by webhook', async (t) => {
  const receiver = await startReceiver(t);
  const simulator = await startSimulator(t, { webhookUrl: receiver.url });
  const { body } = await simulator.charge('k1', { payment_token: 'tok_async' });
  assert.deepEqual([body.status, body.reason, body.transaction_id], ['pending', null, null]);
  const [webhook] = await receiver.first(1);
  assert.equal(webhook?.event.type, 'charge.succeeded');
  const { body: now } = await simulator.get(`/v1/charges/${body.id}`);
  assert.equal(now.status, 'succeeded');
  assert.deepEqual(webhook?.event.data, now);
});

test('tok_timeout_charged takes the money and never answers; the key finds the charge, a repeat returns it', async (t) => {
  const simulator = await startSimulator(t);
  const payment_token = 'tok_timeout_charged';
  assert.ok(await giveUp(simulator, (signal) => simulator.charge('k1', { payment_token }, signal)));
  const found = await simulator.get('/v1/charges?idempotency_key=k1');
  assert.deepEqual([found.status, found.body.status], [200, 'succeeded']);
  const repeated = await simulator.charge('k1', { payment_token });
  assert.deepEqual([repeated.status, repeated.body], [200, found.body]);
  assert.equal((await simulator.get('/charges')).body.data.length, 1);
});

test('tok_timeout_not_charged takes nothing and never answers; nothing is found, a repeat is not answered either', async (t) => {
  const simulator = await startSimulator(t);
  const call = (signal: AbortSignal) => simulator.charge('k1', { payment_token: 'tok_timeout_not_charged' }, signal);
  assert.ok(await giveUp(simulator, call));
  const found = await simulator.get('/v1/charges?idempotency_key=k1');
  assert.deepEqual([found.status, found.body.code], [404, 'charge_not_found']);
  assert.ok(await giveUp(simulator, call));
  assert.deepEqual((await simulator.get('/charges')).body.data, []);
});

test('tok_error_then_ok answers 500 twice for each key, then takes the money once', async (t) => {
  const simulator = await startSimulator(t);
  const call = async (key: string) => (await simulator.charge(key, { payment_token: 'tok_error_then_ok' })).status;
  assert.deepEqual([await call('k1'), await call('k2'), await call('k1')], [500, 500, 500]);
  assert.equal((await simulator.get('/v1/charges?idempotency_key=k1')).status, 404);
  assert.deepEqual([await call('k1'), await call('k1')], [201, 200]);
  assert.deepEqual([await call('k2'), await call('k2')], [500, 201]);
  assert.equal((await simulator.get('/charges')).body.data.length, 2);
});

test('tok_webhook_twice sends the same event twice', async (t) => {
  const receiver = await startReceiver(t);
  const simulator = await startSimulator(t, { webhookUrl: receiver.url });
  assert.equal((await simulator.charge('k1', { payment_token: 'tok_webhook_twice' })).body.status, 'pending');
  const [first, second] = await receiver.first(2);
  assert.equal(first?.event.type, 'charge.succeeded');
  assert.deepEqual(first?.event, second?.event);
});

test('tok_webhook_late tells of the approval before it tells that the charge is pending', async (t) => {
  const receiver = await startReceiver(t);
  const simulator = await startSimulator(t, { webhookUrl: receiver.url });
  assert.equal((await simulator.charge('k1', { payment_token: 'tok_webhook_late' })).body.status, 'pending');
  const [first, second] = (await receiver.first(2)).map(({ event }) => event);
  assert.deepEqual([first.type, first.data.status], ['charge.succeeded', 'succeeded']);
  assert.deepEqual([second.type, second.data.status, second.data.reason], ['charge.pending', 'pending', null]);
  assert.equal(second.data.id, first.data.id);
  assert.ok(second.created_at < first.created_at);
});

test('every token is listed by the simulator itself and by its readme', async (t) => {
  const readme = await readFile(join(import.meta.dirname, 'README.md'), 'utf8');
  const missing = [...TOKENS.keys()].filter((name) => !readme.includes(`\`${name}\``));
  assert.deepEqual(missing, []);
  const simulator = await startSimulator(t);
  const { body } = await simulator.get('/');
  assert.deepEqual(Object.keys(body.payment_tokens), [...TOKENS.keys()]);
});
