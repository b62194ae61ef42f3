import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { StreamRef } from '#kernel/event-store/store.ts';
import { CHARGE } from '#services/gateway/contract.ts';
import { type InjectedApi, startInjectedApi } from '../../support/injected-api.ts';
import { until } from '../../support/until.ts';

const ALICE = { 'x-operator': 'alice' };

describe('dead letters over HTTP', () => {
  let api: InjectedApi;
  before(async () => {
    api = await startInjectedApi();
    await api.post('/wallets', { user_id: 'user', currency: 'USD' });
  });
  after(() => api.close());

  /** Puts an event on the bus that no service has decided on. */
  async function append(type: string, stream: StreamRef, data: object): Promise<void> {
    const { store, tail } = api;
    const { ids, clock } = api.context;
    const metadata = { correlationid: stream.id, traceparent: `00-${ids.traceId()}-00f067aa0ba902b7-01` };
    const event = { id: ids.uuid(), type, version: 1, time: clock.now(), data, metadata };
    const writer = await store.openWriter('test');
    await writer.commit({ appends: [{ stream, expectedPosition: 0, events: [event] }] });
    await writer.close();
    tail.wake();
  }

  /** Puts fraud checks on the bus that do not fit their schema: nobody can handle them. */
  async function poison(verdicts: readonly string[]): Promise<void> {
    const { ids } = api.context;
    for (const status of verdicts) {
      const id = ids.uuid();
      const checked_at = '2026-11-22T00:00:00.000Z';
      const data = { id, status, reason: 'x', trace_id: ids.traceId(), score: 0, rules: [], checked_at };
      await append('payments.checked', { type: 'test', id }, data);
    }
  }

  const list = async (query = '') => (await api.get(`/api/v1/dlq?${query}`)).body;
  const openLetters = async (n: number) => {
    await until(`${n} are open`, async () => (await list('status=open')).data.length === n);
    return (await list('status=open')).data;
  };

  test('are listed, grouped, shown and discarded', async () => {
    assert.deepEqual(await list(), { data: [], next_cursor: null });
    await poison(['MAYBE', 'PERHAPS', 'APPROVED?']);
    const letters = await openLetters(3);
    const [letter] = letters;
    assert.deepEqual(
      [
        letter.service,
        letter.event_type,
        letter.original_topic,
        letter.dlq_topic,
        letter.attempts,
        letter.status,
        letter.count,
      ],
      ['payments', 'payments.checked', 'payments.checked', 'payments.dlq', 1, 'open', 1],
    );
    assert.match(letter.error, /does not fit its schema/);
    const { data: groups } = await list('group=fingerprint');
    assert.deepEqual(
      groups.map(({ fingerprint, messages, open }: Record<string, unknown>) => [fingerprint, messages, open]),
      [[letter.fingerprint, 3, 3]],
    );
    const page = await list('limit=2');
    assert.deepEqual(page.data.concat((await list(`limit=2&cursor=${page.next_cursor}`)).data), letters);
    for (const nothing of ['service=fraud', 'fingerprint=0', 'status=replayed'])
      assert.equal((await list(nothing)).data.length, 0);

    const shown = (await api.get(`/api/v1/dlq/${letter.id}`)).body;
    assert.equal(shown.event.data.status, 'APPROVED?');
    const discarded = await api.post(`/api/v1/dlq/${letter.id}/discard`, {}, ALICE);
    assert.deepEqual(
      [discarded.status, discarded.body.status, discarded.body.resolved_by],
      [200, 'discarded', 'alice'],
    );
    for (const action of ['discard', 'replay']) {
      const { status, body } = await api.post(`/api/v1/dlq/${letter.id}/${action}`, {});
      assert.deepEqual([status, body.code], [409, 'dead_letter_settled']);
    }
  });

  test('that still cannot be handled come back, and are counted', async () => {
    const [letter] = await openLetters(2);
    const replayed = await api.post(`/api/v1/dlq/${letter.id}/replay`, {}, ALICE);
    assert.equal(replayed.status, 200);
    await until('it is back', async () => (await api.get(`/api/v1/dlq/${letter.id}`)).body.count === 2);
    assert.equal((await api.get(`/api/v1/dlq/${letter.id}`)).body.status, 'open');
  });

  test('are all handled when they are replayed after the cause is gone', async () => {
    await poison(['NEITHER']);
    const [letter] = await openLetters(3);
    await api.sql.query(`UPDATE error_log SET event = jsonb_set(event, '{data,status}', '"APPROVED"')`);
    const { status, body } = await api.post('/api/v1/dlq/replay', { fingerprint: letter.fingerprint }, ALICE);
    assert.deepEqual([status, body], [200, { replayed: 3, remaining: 0 }]);
    await until('all are handled', async () => (await list('status=replayed')).data.length === 3);
    assert.deepEqual((await api.post('/api/v1/dlq/replay', {})).body, { replayed: 0, remaining: 0 });
  });

  test('of a payment let it go on, and the timeline says who replayed them', async () => {
    const fields = { amount: 1, currency: 'USD', method: 'credit_card', customer_id: 'user' };
    const { id, trace_id } = (await api.post('/payments', fields)).body;
    await until('it waits', async () => (await api.get(`/payments/${id}`)).body.saga.state === 'SENDING_TO_GATEWAY');
    const data = {
      payment_id: id,
      gateway: 'simulator',
      status: 'YES',
      reason: 'success',
      amount: 1,
      amount_minor: 100,
      currency: 'USD',
      trace_id,
      responded_at: '2026-11-22T00:00:00.000Z',
    };
    await append('gateway.charge.answered', { type: CHARGE, id }, data);
    await openLetters(2);
    await api.sql.query(
      `UPDATE error_log SET event = jsonb_set(event, '{data,status}', '"SUCCESS"') WHERE status = 'open'`,
    );
    await api.post('/api/v1/dlq/replay', {}, ALICE);
    await until('it is approved', async () => (await api.get(`/payments/${id}`)).body.status === 'APPROVED');
    const { data: timeline } = (await api.get(`/payments/${id}/timeline`)).body;
    const acts = timeline
      .filter(({ kind }: { kind: string }) => kind === 'operator')
      .map((entry: { summary: string }) => entry.summary);
    assert.deepEqual(acts.sort(), [
      'alice replayed gateway.charge.answered, which payments could not handle',
      'alice replayed gateway.charge.answered, which wallets could not handle',
    ]);
    assert.equal((await api.get('/api/v1/ledger/trial-balance')).body.balanced, true);
  });

  test('are replayed once for each Idempotency-Key', async () => {
    await poison(['NOT YET']);
    const [letter] = await openLetters(1);
    const key = { 'idempotency-key': 'discard it' };
    const first = await api.post(`/api/v1/dlq/${letter.id}/discard`, {}, key);
    const again = await api.post(`/api/v1/dlq/${letter.id}/discard`, {}, key);
    assert.deepEqual([again.status, again.text, again.headers['idempotency-replayed']], [200, first.text, 'true']);
    const other = await api.post(`/api/v1/dlq/${letter.id}/discard`, { other: true }, key);
    assert.deepEqual([other.status, other.body.code], [422, 'idempotency_key_reused']);
  });

  test('are on no topic without Kafka', async () => {
    const { status, body } = await api.post('/api/v1/dlq/topics/wallet.dlq/replay', {});
    assert.deepEqual([status, body.code], [409, 'kafka_not_used']);
    assert.match(body.detail, /KAFKA_BROKERS is not set/);
    const { data } = await list();
    assert.deepEqual(new Set(data.map(({ kafka }: { kafka: unknown }) => kafka)), new Set([null]));
  });

  test('are replayed no faster than the settings allow', async () => {
    const settings = { ...api.context.settings, dlqReplaysPerSecond: 2, maxWaitSeconds: 0 };
    const slow = await api.withContext({ settings });
    await poison(['A', 'B', 'C', 'D', 'E']);
    await openLetters(5);
    assert.deepEqual((await slow.post('/api/v1/dlq/replay', {})).body.replayed, 2);
  });
});

describe('sagas over HTTP', () => {
  let api: InjectedApi;
  before(async () => {
    api = await startInjectedApi({ gatewayDeadlineMs: 50, sweepMs: 20 });
    await api.post('/wallets', { user_id: 'user', currency: 'USD', overdraft_limit: 10 });
  });
  after(() => api.close());

  const pay = async (method: string) =>
    (await api.post('/payments', { amount: 1, currency: 'USD', method, customer_id: 'user' }, { prefer: 'wait=1' }))
      .body;
  const sagas = async (query: string) => (await api.get(`/api/v1/sagas?${query}`)).body.data;

  test('that are stuck are listed with the reason, and tried again by an operator', async () => {
    const { id } = await pay('credit_card');
    await until('it is stuck', async () => (await sagas('stuck=true')).length === 1);
    const [saga] = await sagas('stuck=true');
    assert.deepEqual([saga.payment_id, saga.stuck, saga.method, saga.status], [id, true, 'credit_card', 'PENDING']);
    assert.equal(saga.stuck_reason, 'charge_not_answered');
    const retried = await api.post(`/api/v1/sagas/${id}/retry`, {}, ALICE);
    assert.deepEqual([retried.status, retried.body.payment_id], [200, id]);
    const { data } = (await api.get(`/payments/${id}/timeline`)).body;
    const acts = data.filter(({ kind }: { kind: string }) => kind === 'operator');
    assert.deepEqual(
      acts.map(({ operator, summary }: Record<string, string>) => [operator, summary]),
      [['alice', 'alice asked for gateway.charge.requested']],
    );
  });

  test('whose money may have been taken are not given up', async () => {
    const { id } = await pay('credit_card');
    const { status, body } = await api.post(`/api/v1/sagas/${id}/compensate`, {});
    assert.deepEqual([status, body.code], [409, 'saga_not_stuck']);
  });

  test('that are over are neither stuck nor tried again, and are listed by state', async () => {
    const { id } = await pay('wallet');
    await until('it is listed', async () => (await sagas('state=COMPLETED')).length === 1);
    const [saga] = await sagas('state=COMPLETED');
    assert.deepEqual([saga.payment_id, saga.stuck, saga.deadline_at], [id, false, null]);
    for (const action of ['retry', 'compensate']) {
      const { status, body } = await api.post(`/api/v1/sagas/${id}/${action}`, {});
      assert.deepEqual([status, body.code], [409, 'saga_not_stuck']);
    }
  });
});
