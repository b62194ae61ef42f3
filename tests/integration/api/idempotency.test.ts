import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type InjectedApi, startInjectedApi } from '../../support/injected-api.ts';
import { until } from '../../support/until.ts';

const PAYMENT = { amount: '10.00', currency: 'USD', method: 'wallet', customer_id: 'customer-1' };

describe('a write with an Idempotency-Key', () => {
  let api: InjectedApi;
  before(async () => {
    api = await startInjectedApi();
    await api.post('/wallets', { user_id: 'customer-1', currency: 'USD' });
  });
  after(() => api.close());

  test('is made once: the same key gets the first answer, to the letter', async () => {
    const key = { 'idempotency-key': 'once' };
    const first = await api.post('/payments', PAYMENT, key);
    const again = await api.post('/payments', PAYMENT, key);
    assert.deepEqual([first.status, again.status], [201, 201]);
    assert.equal(again.text, first.text);
    assert.deepEqual(
      [first.headers['idempotency-replayed'], again.headers['idempotency-replayed']],
      [undefined, 'true'],
    );
    assert.notEqual(again.headers['x-trace-id'], first.headers['x-trace-id']);
  });

  test('is the same with and without the base path, and however its body is written', async () => {
    const key = { 'idempotency-key': 'same request' };
    const first = await api.post('/payments', PAYMENT, key);
    const reordered = JSON.stringify(Object.fromEntries(Object.entries(PAYMENT).reverse()), null, 2);
    const again = await api.post('/api/v1/payments', reordered, key);
    assert.equal(again.text, first.text);
  });

  test('is refused with another body, and nothing happens', async () => {
    const key = { 'idempotency-key': 'other body' };
    await api.post('/payments', PAYMENT, key);
    const { status, body } = await api.post('/payments', { ...PAYMENT, amount: '10.01' }, key);
    assert.deepEqual([status, body.code], [422, 'idempotency_key_reused']);
  });

  test('is another one for another path or key', async () => {
    const key = { 'idempotency-key': 'shared' };
    const payment = await api.post('/payments', PAYMENT, key);
    const wallet = await api.post('/wallets', { user_id: 'customer-2', currency: 'USD' }, key);
    assert.deepEqual([payment.status, wallet.status], [201, 201]);
    const other = await api.post('/payments', PAYMENT, { 'idempotency-key': 'not shared' });
    assert.notEqual(other.body.id, payment.body.id);
  });

  test('answers 409 while the first is under way, and is made once however often it is sent', async () => {
    const key = { 'idempotency-key': 'at once' };
    const payment = { ...PAYMENT, customer_id: 'at once' };
    const answers = await Promise.all(Array.from({ length: 20 }, () => api.post('/payments', payment, key)));
    const made = answers.filter(({ status }) => status === 201);
    const busy = answers.filter(({ status }) => status === 409);
    assert.equal(made.length + busy.length, 20);
    assert.equal(new Set(made.map(({ body }) => body.id)).size, 1);
    for (const { body, headers } of busy) {
      assert.equal(body.code, 'idempotency_key_in_progress');
      assert.equal(headers['retry-after'], '1');
    }
    const later = await api.post('/payments', payment, key);
    assert.equal(later.body.id, made[0]!.body.id);
    const after = await api.post('/payments', payment, { prefer: 'wait=20' });
    const listed = async () => (await api.get('/payments?customer_id=at%20once&status=DECLINED')).body.data;
    await until('the last of them is listed', async () =>
      (await listed()).some(({ id }: { id: string }) => id === after.body.id),
    );
    assert.equal((await listed()).length, 2);
  });

  test('keeps a business no too, but not what was never tried', async () => {
    const opening = { user_id: 'customer-3', currency: 'USD' };
    await api.post('/wallets', opening);
    const no = await api.post('/wallets', opening, { 'idempotency-key': 'no' });
    const again = await api.post('/wallets', opening, { 'idempotency-key': 'no' });
    assert.deepEqual([no.status, no.body.code], [409, 'wallet_already_exists']);
    assert.equal(again.text, no.text);
    assert.equal(again.headers['idempotency-replayed'], 'true');
    assert.match(String(again.headers['content-type']), /^application\/problem\+json/);

    const key = { 'idempotency-key': 'corrected' };
    assert.equal((await api.post('/payments', { ...PAYMENT, amount: 'ten' }, key)).status, 422);
    assert.equal((await api.post('/payments', PAYMENT, key)).status, 201);
  });

  test('of a batch makes none of its payments again', async () => {
    const key = { 'idempotency-key': 'batch' };
    const batch = { payments: [PAYMENT, { ...PAYMENT, amount: 'x' }, PAYMENT] };
    const first = await api.post('/payments/batch', batch, key);
    const again = await api.post('/payments/batch', batch, key);
    assert.equal(first.status, 200);
    assert.equal(again.text, first.text);
  });

  test('waits for the end also when it is sent again', async () => {
    const headers = { 'idempotency-key': 'waiting', prefer: 'wait=20' };
    const first = await api.post('/payments', PAYMENT, headers);
    const again = await api.post('/payments', PAYMENT, headers);
    assert.equal(first.body.status, 'DECLINED');
    assert.equal(again.text, first.text);
  });
});

describe('a direct movement with a reference', () => {
  let api: InjectedApi;
  before(async () => {
    api = await startInjectedApi();
    await api.post('/wallets', { user_id: 'user', currency: 'USD' });
  });
  after(() => api.close());

  const credit = { amount: 5, reason: 'deposit', reference: 'statement line 1' };

  test('is made once, without any Idempotency-Key', async () => {
    const first = await api.post('/wallets/user/credits', credit);
    const again = await api.post('/wallets/user/credits', { ...credit, amount: '5.00' });
    assert.equal(first.status, 201);
    assert.equal(again.text, first.text);
    assert.equal(again.headers['idempotency-replayed'], 'true');
    assert.equal((await api.get('/wallets/user')).body.balance_minor, 500);
  });

  test('is refused as another movement, and is another one in another wallet', async () => {
    for (const other of [
      { ...credit, amount: 6 },
      { ...credit, currency: 'EUR' },
    ]) {
      const { status, body } = await api.post('/wallets/user/credits', other);
      assert.deepEqual([status, body.code], [409, 'reference_reused']);
    }
    const debit = await api.post('/wallets/user/debits', credit);
    assert.deepEqual([debit.status, debit.body.code], [409, 'reference_reused']);
    await api.post('/wallets', { user_id: 'other', currency: 'USD' });
    assert.equal((await api.post('/wallets/other/credits', credit)).status, 201);
  });

  test('that was refused stays refused', async () => {
    const debit = { amount: 1000, reason: 'fee', reference: 'fee 1' };
    const no = await api.post('/wallets/user/debits', debit);
    assert.deepEqual([no.status, no.body.code], [422, 'insufficient_funds']);
    await api.post('/wallets/user/credits', { amount: 2000, reason: 'deposit', reference: 'enough' });
    assert.equal((await api.post('/wallets/user/debits', debit)).text, no.text);
  });
});
