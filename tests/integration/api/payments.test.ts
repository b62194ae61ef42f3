import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type InjectedApi, startInjectedApi } from '../../support/injected-api.ts';
import { until } from '../../support/until.ts';

const WAIT = { prefer: 'wait=20' };

describe('payments over HTTP', () => {
  let api: InjectedApi;
  before(async () => {
    api = await startInjectedApi();
    for (const user_id of ['rich', 'poor']) await api.post('/wallets', { user_id, currency: 'USD' });
    await api.post('/wallets/rich/credits', { amount: '1000.00', reason: 'deposit', reference: 'start' });
  });
  after(() => api.close());

  const payment = (fields: object = {}) => ({
    amount: '12.34',
    currency: 'USD',
    method: 'wallet',
    customer_id: 'rich',
    ...fields,
  });
  const pay = async (fields: object = {}) => (await api.post('/payments', payment(fields), WAIT)).body;

  test('answers at once with PENDING, and carries all that was sent', async () => {
    const notes = { description: 'two books', metadata: { order: '42' } };
    const { status, body } = await api.post('/payments', payment({ ...notes, payment_token: 'tok_visa' }));
    assert.equal(status, 201);
    const { id, trace_id, created_at, ...rest } = body;
    assert.match(id, /^[0-9a-f-]{36}$/);
    assert.match(trace_id, /^[0-9a-f]{32}$/);
    assert.ok(!Number.isNaN(Date.parse(created_at)));
    assert.deepEqual(rest, {
      status: 'PENDING',
      reason: null,
      amount: 12.34,
      amount_minor: 1234,
      currency: 'USD',
      method: 'wallet',
      customer_id: 'rich',
      ...notes,
      refunded: 0,
      refunded_minor: 0,
      completed_at: null,
    });
  });

  test('Prefer: wait answers with the final status', async () => {
    const yes = await api.post('/payments', payment(), WAIT);
    assert.deepEqual([yes.status, yes.body.status, yes.headers['preference-applied']], [201, 'APPROVED', 'wait=20']);
    assert.ok(yes.body.completed_at >= yes.body.created_at);
    const no = await pay({ customer_id: 'poor' });
    assert.deepEqual([no.status, no.reason], ['DECLINED', 'insufficient_funds']);
    const nobody = await pay({ customer_id: 'nobody' });
    assert.deepEqual([nobody.status, nobody.reason], ['DECLINED', 'wallet_not_found']);
    const mismatch = await pay({ currency: 'EUR' });
    assert.deepEqual([mismatch.status, mismatch.reason], ['DECLINED', 'currency_mismatch']);
  });

  test('Prefer: wait is over when its time is', async () => {
    const { body } = await api.post('/payments', payment({ method: 'credit_card' }), {
      prefer: 'respond-async, wait=1',
    });
    assert.equal(body.status, 'PENDING');
    const capped = await (await api.withContext({ settings: { ...api.context.settings, maxWaitSeconds: 0 } })).post(
      '/payments',
      payment({ method: 'credit_card' }),
      WAIT,
    );
    assert.deepEqual([capped.body.status, capped.headers['preference-applied']], ['PENDING', undefined]);
  });

  test('a payment that another process completes is waited for too', async () => {
    const { createTail } = await import('#kernel/bus/tail.ts');
    const deaf = await api.withContext({ payments: { ...api.context.payments!, tail: createTail() } });
    const { body } = await deaf.post('/payments', payment(), WAIT);
    assert.equal(body.status, 'APPROVED');
  });

  test('beyond the limit of waiting requests the answer comes at once', async () => {
    const full = await api.withContext({ settings: { ...api.context.settings, maxWaiters: 0 } });
    assert.equal((await full.post('/payments', payment({ method: 'credit_card' }), WAIT)).body.status, 'PENDING');
  });

  test('is shown as it is, at once and later', async () => {
    const created = (await api.post('/payments', payment({ description: 'fresh' }))).body;
    const shown = (await api.get(`/payments/${created.id}`)).body;
    assert.deepEqual([shown.id, shown.description, shown.trace_id], [created.id, 'fresh', created.trace_id]);
    await until('it is final', async () => (await api.get(`/payments/${created.id}`)).body.status === 'APPROVED');
    const { saga } = (await api.get(`/payments/${created.id.toUpperCase()}`)).body;
    assert.deepEqual(saga, {
      state: 'COMPLETED',
      attempt: 1,
      deadline_at: null,
      stuck_reason: null,
      next_attempt_at: null,
    });
  });

  test('a pending card payment tells what it waits for', async () => {
    const { id } = (await api.post('/payments', payment({ method: 'debit_card' }))).body;
    await until('it is sent', async () => (await api.get(`/payments/${id}`)).body.saga.state === 'SENDING_TO_GATEWAY');
    const { body } = await api.get(`/payments/${id}`);
    assert.ok(body.saga.deadline_at > body.created_at);
  });

  test('is listed by every filter, newest first, in pages', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.push((await pay({ customer_id: 'poor', amount: i + 1 })).id);
    const listed = async (query: string) => (await api.get(`/payments?${query}`)).body;
    await until('all are listed', async () => {
      const { data } = await listed('customer_id=poor&status=DECLINED&limit=5');
      return data.length === 5 && data[0].id === ids[4];
    });
    const first = await listed('customer_id=poor&limit=3');
    const second = await listed(`customer_id=poor&limit=3&cursor=${first.next_cursor}`);
    const seen = [...first.data, ...second.data].map(({ id }: { id: string }) => id);
    assert.deepEqual(seen.slice(0, 5), ids.toReversed());
    assert.equal((await listed('customer_id=poor&status=APPROVED')).data.length, 0);
    assert.equal((await listed('customer_id=poor&method=credit_card')).data.length, 0);
    assert.equal((await listed('customer_id=poor&from=2000-01-01&to=2000-12-31')).data.length, 0);
    assert.ok((await listed('customer_id=poor&from=2000-01-01')).data.length >= 5);
  });

  test('is refunded in parts, and never more than it was', async () => {
    const { id } = await pay({ amount: '10.00' });
    const refund = (fields: object) => api.post(`/payments/${id}/refunds`, { reason: 'returned', ...fields });
    const part = await refund({ amount: '4.00' });
    assert.equal(part.status, 201);
    assert.deepEqual([part.body.payment_id, part.body.status, part.body.amount_minor], [id, 'PENDING', 400]);
    const tooMuch = await refund({ amount: 6.01 });
    assert.deepEqual([tooMuch.status, tooMuch.body.code], [422, 'refund_exceeds_payment']);
    const wrong = await refund({ amount: '1.001' });
    assert.deepEqual([wrong.status, wrong.body.code], [422, 'amount_too_precise']);
    const missing = await api.post(`/payments/${id}/refunds`, { amount: 'x' });
    assert.deepEqual(
      missing.body.errors.map(({ field }: { field: string }) => field),
      ['reason', 'amount'],
    );
    const byHand = await api.post('/wallets/refund', { payment_id: id, reason: 'the rest' });
    assert.deepEqual([byHand.status, byHand.body.amount_minor], [201, 600]);
    await until('both are made', async () => (await api.get(`/payments/${id}`)).body.status === 'REFUNDED');
    const { data } = (await api.get(`/payments/${id}/refunds`)).body;
    assert.deepEqual(
      data.map(({ status, amount }: { status: string; amount: number }) => [status, amount]),
      [
        ['SUCCEEDED', 4],
        ['SUCCEEDED', 6],
      ],
    );
    const again = await refund({ amount: 1 });
    assert.equal(again.body.code, 'refund_exceeds_payment');
  });

  test('fifty refunds at once give back no more than was taken', async () => {
    const { id } = await pay({ amount: '10.00' });
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => api.post(`/payments/${id}/refunds`, { amount: 1, reason: 'at once' })),
    );
    assert.equal(answers.filter(({ status }) => status === 201).length, 10);
    assert.equal(answers.filter(({ body }) => body.code === 'refund_exceeds_payment').length, 40);
  });

  test('only an approved payment is refunded', async () => {
    const { id } = await pay({ customer_id: 'poor' });
    const { status, body } = await api.post(`/payments/${id}/refunds`, { reason: 'x' });
    assert.deepEqual([status, body.code], [409, 'payment_not_refundable']);
  });

  test('a batch gives each payment its own result', async () => {
    const payments = [payment(), payment({ amount: 0 }), { amount: 1 }, 'text', payment({ customer_id: 'poor' })];
    const { status, body } = await api.post('/payments/batch', { payments });
    assert.equal(status, 200);
    assert.deepEqual(
      body.data.map((result: { status: number; error?: { code: string } }) => [result.status, result.error?.code]),
      [
        [201, undefined],
        [422, 'amount_not_positive'],
        [422, 'invalid_request'],
        [422, 'invalid_request'],
        [201, undefined],
      ],
    );
    const ids: string[] = body.data.flatMap((result: { payment?: { id: string } }) => result.payment?.id ?? []);
    await until('both are final', async () => {
      const shown = await Promise.all(ids.map((id) => api.get(`/payments/${id}`)));
      return shown.every(({ body: { status } }) => status !== 'PENDING');
    });
    const { data } = (await api.get(`/payments/${ids[1]}/timeline`)).body;
    assert.ok(data.length > 4);
  });

  test('a batch has 1 to 1,000 payments', async () => {
    for (const payments of [[], Array.from({ length: 1001 }, () => payment())]) {
      const { status, body } = await api.post('/payments/batch', { payments });
      assert.deepEqual([status, body.code], [422, 'invalid_request']);
    }
    const none = await api.post('/payments/batch', { payments: [{}] });
    assert.deepEqual([none.status, none.body.data[0].status], [200, 422]);
  });

  test('the timeline holds every event, step and posting, a cause before its effect', async () => {
    const { id } = await pay({ amount: '10.00', payment_token: 'tok_secret' });
    await api.post(`/payments/${id}/refunds`, { amount: 4, reason: 'returned' });
    await until('it is refunded', async () => (await api.get(`/payments/${id}`)).body.status === 'PARTIALLY_REFUNDED');
    const { text, body } = await api.get(`/payments/${id}/timeline`);
    const kinds = (kind: string) => body.data.filter((entry: { kind: string }) => entry.kind === kind);
    assert.deepEqual(
      kinds('event').map(({ type }: { type: string }) => type),
      [
        'payments.created',
        'payments.checked',
        'wallet.debit.requested',
        'wallet.debited',
        'payments.approved',
        'payments.refund.requested',
        'wallet.credit.requested',
        'wallet.credited',
        'payments.refunded',
      ],
    );
    assert.deepEqual(
      kinds('saga').map(({ summary }: { summary: string }) => summary),
      ['INITIALIZED → CHECKING_FRAUD', 'CHECKING_FRAUD → DEBITING', 'DEBITING → COMPLETED'],
    );
    for (const { postings } of kinds('posting')) {
      assert.equal(
        postings.reduce((sum: number, { amount_minor }: { amount_minor: number }) => sum + amount_minor, 0),
        0,
      );
    }
    assert.equal(kinds('posting').length, 4);
    assert.doesNotMatch(text, /tok_secret/);
  });
});
