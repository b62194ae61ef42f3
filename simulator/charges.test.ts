import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, giveUp, startSimulator, until } from './test-support.ts';

test('fifty calls at once with one key take the money once', async (t) => {
  const simulator = await startSimulator(t);
  const answers = await Promise.all(Array.from({ length: 50 }, () => simulator.charge('k1')));
  assert.deepEqual(new Set(answers.map(({ body }) => body.id)).size, 1);
  assert.equal(answers.filter(({ status }) => status === 201).length, 1);
  const repeats = answers.filter(({ status }) => status === 200);
  assert.equal(repeats.length, 49);
  assert.ok(repeats.every(({ headers }) => headers.get('idempotent-replayed') === 'true'));
  assert.equal((await simulator.get('/charges')).body.data.length, 1);
});

test('the same key with another body is refused, whatever differs', async (t) => {
  const simulator = await startSimulator(t);
  await simulator.charge('k1');
  for (const other of [
    { amount_minor: 1001 },
    { currency: 'EUR' },
    { reference: 'other' },
    { payment_token: 'tok_stolen' },
  ]) {
    const { status, body } = await simulator.charge('k1', other);
    assert.deepEqual([status, body.code], [422, 'idempotency_key_reused']);
  }
  assert.equal((await simulator.get('/charges')).body.data.length, 1);
});

test('a charge is found by its id and by its key; what was never taken is not', async (t) => {
  const simulator = await startSimulator(t);
  const { body } = await simulator.charge('a key with spaces & signs');
  assert.deepEqual((await simulator.get(`/v1/charges/${body.id}`)).body, body);
  const byKey = await simulator.get(`/v1/charges?idempotency_key=${encodeURIComponent('a key with spaces & signs')}`);
  assert.deepEqual(byKey.body, body);
  for (const path of ['/v1/charges/ch_1', '/v1/charges/ch_00000000000000', '/v1/charges?idempotency_key=k2']) {
    const missing = await simulator.get(path);
    assert.deepEqual([missing.status, missing.body.code], [404, 'charge_not_found']);
  }
  assert.equal((await simulator.get('/v1/charges')).body.code, 'idempotency_key_missing');
});

test('every wrong field is named, and nothing is recorded', async (t) => {
  const simulator = await startSimulator(t);
  const wrong = { amount_minor: 10.5, currency: 'usd', reference: '', payment_token: 7, cvc: '123' };
  const { status, headers, body } = await simulator.charge('k1', wrong);
  assert.deepEqual([status, body.code], [422, 'invalid_request']);
  assert.equal(headers.get('content-type'), 'application/problem+json');
  const fields = body.errors.map(({ field }: { field: string }) => field);
  assert.deepEqual(fields, ['amount_minor', 'currency', 'reference', 'payment_token', 'cvc']);
  for (const amount_minor of [0, -1, '10', 2 ** 53, null]) {
    assert.equal((await simulator.charge('k1', { amount_minor })).status, 422);
  }
  assert.deepEqual((await simulator.get('/charges')).body.data, []);
});

test('a key is needed, and not longer than 255 characters', async (t) => {
  const simulator = await startSimulator(t);
  const body = { amount_minor: 1, currency: 'USD', reference: 'p' };
  const without = await simulator.request('POST', '/v1/charges', body);
  assert.deepEqual([without.status, without.body.code], [400, 'idempotency_key_missing']);
  const tooLong = await simulator.request('POST', '/v1/charges', body, { 'Idempotency-Key': 'k'.repeat(256) });
  assert.deepEqual([tooLong.status, tooLong.body.code], [400, 'idempotency_key_invalid']);
});

test('a card number is refused however it is written, and neither answered nor logged nor kept', async (t) => {
  const simulator = await startSimulator(t);
  for (const number of [
    '4111111111111111',
    '4111 1111 1111 1111',
    'tok_5500-0000-0000-0004',
    '378282246310005',
    4111111111111111,
  ]) {
    const { status, body } = await simulator.charge('k1', { payment_token: number });
    assert.deepEqual([status, body.code], [422, 'card_number_refused']);
    assert.doesNotMatch(JSON.stringify(body), /1111|0004|310005/);
  }
  const notLuhn = await simulator.charge('k1', { payment_token: '4111111111111112' });
  assert.equal(notLuhn.body.code, 'unknown_token');
  assert.deepEqual(simulator.logged, []);
  assert.deepEqual((await simulator.get('/charges')).body.data, []);
});

test('the record is listed page by page, oldest first', async (t) => {
  const simulator = await startSimulator(t);
  for (const key of ['a', 'b', 'c', 'd', 'e']) await simulator.charge(key);
  const seen: string[] = [];
  let page: Answer | undefined;
  do {
    const cursor: string = page === undefined ? '' : `&cursor=${page.body.next_cursor}`;
    page = await simulator.get(`/charges?limit=2${cursor}`);
    seen.push(...page.body.data.map((charge: { idempotency_key: string }) => charge.idempotency_key));
  } while (page.body.next_cursor !== null);
  assert.deepEqual(seen, ['a', 'b', 'c', 'd', 'e']);
  for (const query of ['limit=0', 'limit=1001', 'limit=x', 'cursor=-1', 'cursor=x']) {
    assert.equal((await simulator.get(`/charges?${query}`)).status, 422);
  }
});

test('a full record refuses new charges, and still answers for those it has', async (t) => {
  const simulator = await startSimulator(t, { maxCharges: 1 });
  await simulator.charge('k1');
  const { status, body } = await simulator.charge('k2');
  assert.deepEqual([status, body.code], [507, 'record_full']);
  assert.equal((await simulator.charge('k1')).status, 200);
  await simulator.request('POST', '/reset');
  assert.equal((await simulator.charge('k2')).status, 201);
});

test('a reset forgets charges, refunds and counted errors, and lets waiting callers go', async (t) => {
  const simulator = await startSimulator(t, { slowMs: 60_000 });
  const { body: before } = await simulator.charge('k1');
  await simulator.refund('r1', { charge_id: before.id, amount_minor: 1 });
  await simulator.charge('k2', { payment_token: 'tok_error_then_ok' });
  await simulator.charge('k2', { payment_token: 'tok_error_then_ok' });
  const waiting = simulator.charge('k3', { payment_token: 'tok_slow' });
  await until(async () => (await simulator.get('/health')).body.charges === 2);
  assert.deepEqual((await simulator.request('POST', '/reset')).body, { cleared: { charges: 2, refunds: 1 } });
  assert.equal((await waiting).body.status, 'pending');
  assert.deepEqual((await simulator.get('/charges')).body.data, []);
  assert.deepEqual((await simulator.get('/refunds')).body.data, []);
  assert.equal((await simulator.charge('k2', { payment_token: 'tok_error_then_ok' })).status, 500);
  const { body: after } = await simulator.charge('k1');
  assert.notEqual(after.id, before.id);
  assert.equal((await simulator.get(`/v1/charges/${before.id}`)).status, 404);
});

test('a call that nobody gives up is cut after the longest time', async (t) => {
  const simulator = await startSimulator(t, { holdMs: 20 });
  await assert.rejects(simulator.charge('k1', { payment_token: 'tok_timeout_charged' }), /fetch failed/);
  assert.equal((await simulator.get('/v1/charges?idempotency_key=k1')).body.status, 'succeeded');
});

test('too many unanswered calls: the oldest is cut', async (t) => {
  const simulator = await startSimulator(t, { maxHeldCalls: 1 });
  const oldest = assert.rejects(simulator.charge('k1', { payment_token: 'tok_timeout_charged' }), /fetch failed/);
  const newer = () =>
    giveUp(simulator, (signal) => simulator.charge('k2', { payment_token: 'tok_timeout_charged' }, signal));
  await Promise.all([oldest, newer()]);
  assert.equal((await simulator.get('/charges')).body.data.length, 2);
});
