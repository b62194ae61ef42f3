import assert from 'node:assert/strict';
import { test } from 'node:test';
import { giveUp, startReceiver, startSimulator } from './test-support.ts';

test('a charge is refunded in parts, by id or by reference, and its record shows them', async (t) => {
  const simulator = await startSimulator(t);
  const { body: charge } = await simulator.charge('k1');
  const first = await simulator.refund('r1', { charge_id: charge.id, amount_minor: 300 });
  assert.equal(first.status, 201);
  assert.deepEqual([first.body.status, first.body.charge_id, first.body.reference], ['succeeded', charge.id, 'ref-r1']);
  const second = await simulator.refund('r2', { charge_reference: 'pay-k1', amount_minor: 700 });
  assert.equal(second.body.charge_id, charge.id);
  const recorded = (await simulator.get('/charges')).body.data[0];
  assert.deepEqual([recorded.refunded_minor, recorded.taken], [1000, true]);
  assert.deepEqual(recorded.refunds, [first.body, second.body]);
  assert.deepEqual((await simulator.get('/refunds')).body.data, [first.body, second.body]);
});

test('fifty refunds at once never give back more than was taken', async (t) => {
  const simulator = await startSimulator(t);
  const { body: charge } = await simulator.charge('k1');
  const refund = (_: unknown, n: number) => simulator.refund(`r${n}`, { charge_id: charge.id, amount_minor: 30 });
  const answers = await Promise.all(Array.from({ length: 50 }, refund));
  assert.equal(answers.filter(({ status }) => status === 201).length, 33);
  const refused = answers.filter(({ status }) => status === 422);
  assert.equal(refused.length, 17);
  assert.ok(refused.every(({ body }) => body.code === 'refund_exceeds_charge' && body.refundable_minor === 10));
  assert.equal((await simulator.get('/charges')).body.data[0].refunded_minor, 990);
});

test('the same key gives the same refund once; with another body it is refused', async (t) => {
  const simulator = await startSimulator(t);
  const { body: charge } = await simulator.charge('k1');
  const call = () => simulator.refund('r1', { charge_id: charge.id, amount_minor: 600 });
  const answers = await Promise.all([call(), call(), call()]);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 200, 201]);
  assert.equal(new Set(answers.map(({ body }) => body.id)).size, 1);
  const other = await simulator.refund('r1', { charge_id: charge.id, amount_minor: 100 });
  assert.deepEqual([other.status, other.body.code], [422, 'idempotency_key_reused']);
  assert.equal((await simulator.get('/charges')).body.data[0].refunded_minor, 600);
});

test('a refund is found by its id and by its key', async (t) => {
  const simulator = await startSimulator(t);
  const { body: charge } = await simulator.charge('k1');
  const { body } = await simulator.refund('r1', { charge_id: charge.id, amount_minor: 1 });
  assert.deepEqual((await simulator.get('/v1/refunds?idempotency_key=r1')).body, body);
  assert.deepEqual((await simulator.get(`/v1/refunds/${body.id}`)).body, body);
  const missing = await simulator.get('/v1/refunds?idempotency_key=r2');
  assert.deepEqual([missing.status, missing.body.code], [404, 'refund_not_found']);
});

test('what was not taken, is not known, or is in another currency is not refunded', async (t) => {
  const simulator = await startSimulator(t, { asyncMs: 60_000 });
  const { body: taken } = await simulator.charge('k1');
  const { body: declined } = await simulator.charge('k2', { payment_token: 'tok_declined' });
  const { body: pending } = await simulator.charge('k3', { payment_token: 'tok_async' });
  const code = async (fields: object) => (await simulator.refund('r1', { amount_minor: 1, ...fields })).body.code;
  assert.equal(await code({ charge_id: declined.id }), 'charge_not_refundable');
  assert.equal(await code({ charge_id: pending.id }), 'charge_not_refundable');
  assert.equal(await code({ charge_id: 'ch_unknown' }), 'charge_not_found');
  assert.equal(await code({ charge_reference: 'unknown' }), 'charge_not_found');
  assert.equal(await code({ charge_id: taken.id, currency: 'EUR' }), 'currency_mismatch');
  assert.equal(await code({ charge_id: taken.id, amount_minor: 1001 }), 'refund_exceeds_charge');
  assert.equal(await code({ charge_id: taken.id, charge_reference: 'pay-k1' }), 'invalid_request');
  assert.equal(await code({}), 'invalid_request');
  assert.deepEqual((await simulator.get('/refunds')).body.data, []);
});

test('tok_refund_fails: the refund is declined, and its amount can still be refunded', async (t) => {
  const simulator = await startSimulator(t);
  const { body: charge } = await simulator.charge('k1', { payment_token: 'tok_refund_fails' });
  for (const key of ['r1', 'r2']) {
    const { status, body } = await simulator.refund(key, { charge_id: charge.id, amount_minor: 1000 });
    assert.equal(status, 201);
    assert.deepEqual([body.status, body.reason, body.transaction_id], ['declined', 'refund_declined', null]);
  }
  assert.equal((await simulator.get('/charges')).body.data[0].refunded_minor, 0);
});

test('tok_refund_async: the refund is pending, holds its amount, and is made by webhook', async (t) => {
  const receiver = await startReceiver(t);
  const simulator = await startSimulator(t, { webhookUrl: receiver.url });
  const { body: charge } = await simulator.charge('k1', { payment_token: 'tok_refund_async' });
  const { body } = await simulator.refund('r1', { charge_id: charge.id, amount_minor: 1000 });
  assert.equal(body.status, 'pending');
  const second = await simulator.refund('r2', { charge_id: charge.id, amount_minor: 1 });
  assert.equal(second.body.code, 'refund_exceeds_charge');
  const [webhook] = await receiver.first(1);
  assert.deepEqual([webhook?.event.type, webhook?.event.data.id], ['refund.succeeded', body.id]);
  assert.equal((await simulator.get('/charges')).body.data[0].refunded_minor, 1000);
});

test('tok_refund_timeout: the refund is made and not answered; the key finds it, a repeat returns it', async (t) => {
  const simulator = await startSimulator(t);
  const { body: charge } = await simulator.charge('k1', { payment_token: 'tok_refund_timeout' });
  const fields = { charge_id: charge.id, amount_minor: 400 };
  assert.ok(await giveUp(simulator, (signal) => simulator.refund('r1', fields, signal)));
  const found = await simulator.get('/v1/refunds?idempotency_key=r1');
  assert.equal(found.body.status, 'succeeded');
  assert.deepEqual((await simulator.refund('r1', fields)).body, found.body);
  assert.equal((await simulator.get('/charges')).body.data[0].refunded_minor, 400);
});

test('a full record refuses new refunds', async (t) => {
  const simulator = await startSimulator(t, { maxRefunds: 1 });
  const { body: charge } = await simulator.charge('k1');
  await simulator.refund('r1', { charge_id: charge.id, amount_minor: 1 });
  const { status, body } = await simulator.refund('r2', { charge_id: charge.id, amount_minor: 1 });
  assert.deepEqual([status, body.code], [507, 'record_full']);
});
