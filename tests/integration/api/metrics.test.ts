import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createMetricsService } from '#services/metrics/index.ts';
import type { MetricSources } from '#services/metrics/sampler.ts';
import { type InjectedApi, startInjectedApi } from '../../support/injected-api.ts';
import { until } from '../../support/until.ts';

const CALM: MetricSources = {
  processors: [],
  followers: [],
  monitorLag: async () => 12,
  requestLatencies: () => ({ count: 0, p95: 0, p99: 0 }),
  pool: () => ({ total: 1, idle: 1, waiting: 0, max: 10 }),
  breakers: () => [{ name: 'simulator', state: 'open', opened: 2, rejected: 7, openMs: 0 }],
  failures: async () => [{ dlq_topic: 'payments.dlq', open: 3, retrying: 1 }],
  stuckSagas: async () => 4,
  openFindings: async () => [{ invariant: 'taken_once', count: 2, message: 'payment p: taken 2 times' }],
  brokenSums: async () => [{ invariant: 'balanced', count: 1, message: 'the ledger is off by 1.00 USD' }],
  invariants: ['balanced', 'taken_once', 'chain_whole'],
};

describe('metrics', () => {
  let api: InjectedApi;
  let service: ReturnType<typeof createMetricsService>;
  before(async () => {
    api = await startInjectedApi();
    const { metrics, clock, log } = api.context;
    const settings = { sampleMs: 20, invariantMs: 1000 };
    service = createMetricsService(settings, {
      registry: metrics.registry,
      tails: [api.tail],
      sources: CALM,
      clock,
      log,
    });
    service.start();
  });
  after(async () => {
    await service.stop();
    await api.close();
  });

  /** The value of a line such as `name{label="x"}`. */
  const metric = async (line: string): Promise<number> => {
    const text = await api.context.metrics.registry.metrics();
    const found = text.split('\n').find((candidate) => candidate.startsWith(`${line} `));
    assert.ok(found, `${line} is not in\n${text}`);
    return Number(found.slice(line.length));
  };

  test('business events are counted by their contract names', async () => {
    await api.post('/wallets', { user_id: 'rich', currency: 'USD', overdraft_limit: 100 });
    const ids: string[] = [];
    for (const customer_id of ['rich', 'rich', 'nobody']) {
      const payment = { amount: 1, currency: 'USD', method: 'wallet', customer_id };
      ids.push((await api.post('/payments', payment, { prefer: 'wait=20' })).body.id);
    }
    await api.post(`/payments/${ids[0]}/refunds`, { amount: 1, reason: 'test' });
    await until('it was refunded', async () => (await api.get(`/payments/${ids[0]}`)).body.status === 'REFUNDED');
    const counted = {
      payment_created_total: 3,
      payment_approved_total: 2,
      payment_declined_total: 1,
      wallet_debit_requested_total: 3,
      wallet_debit_approved_total: 2,
      wallet_debit_declined_total: 1,
      payment_refund_requested_total: 1,
      payment_refunded_total: 1,
    };
    for (const [name, n] of Object.entries(counted)) assert.equal(await metric(name), n, name);
    assert.equal(await metric('saga_duration_seconds_count{method="wallet",status="APPROVED"}'), 2);
    assert.ok((await metric('caudal_events_committed_total{service="payments"}')) >= 9);
    assert.ok((await metric('event_to_effect_seconds_count{aggregate="payment"}')) >= 1);
  });

  test('the state of the process is shown', async () => {
    await until('it was looked at', () => service.alerts.length > 0);
    assert.equal(await metric('caudal_dead_letters{topic="payments.dlq"}'), 3);
    assert.equal(await metric('caudal_stuck_sagas'), 4);
    assert.equal(await metric('caudal_consumer_lag{consumer="monitor"}'), 12);
    assert.equal(await metric('caudal_breaker_state{name="simulator"}'), 2);
    for (const [invariant, n] of [
      ['balanced', 1],
      ['taken_once', 2],
      ['chain_whole', 0],
    ])
      assert.equal(await metric(`caudal_broken_invariants{invariant="${invariant}"}`), n);
    assert.ok((await metric('process_resident_memory_bytes')) > 0);
    assert.ok((await metric('process_cpu_seconds_total')) > 0);
  });

  test('an alert is 1 while it lasts, and 0 else', async () => {
    for (const name of ['dead_letters', 'stuck_sagas', 'broken_invariant']) {
      assert.equal(await metric(`caudal_alert{name="${name}"}`), 1);
    }
    assert.equal(await metric('caudal_alert{name="consumer_lag"}'), 0);
  });

  test('requests are measured by route, with and without the base path alike', async () => {
    const own = await api.withContext({ metrics: api.context.metrics });
    await own.get('/payments/xyz');
    await own.get('/api/v1/payments/xyz');
    assert.equal(
      await metric('http_request_duration_seconds_count{method="GET",route="/payments/:id",status="422"}'),
      2,
    );
    const { headers, text } = await own.get('/metrics');
    assert.match(String(headers['content-type']), /^text\/plain; version=0\.0\.4/);
    assert.match(text, /^payment_created_total 3$/m);
  });

  test('what a client asked to wait for alarms nobody', async () => {
    const { metrics } = api.context;
    const own = await api.withContext({ metrics });
    metrics.takeRequestLatencies();
    const payment = { amount: 1, currency: 'USD', method: 'wallet', customer_id: 'nobody' };
    const waited = await own.post('/payments', payment, { prefer: 'wait=20' });
    assert.deepEqual([waited.status, waited.body.status], [201, 'DECLINED']);
    await own.get('/wallets/nobody');
    // A request is measured when its answer has left, the one before surely.
    let seen = 0;
    await until('a request is measured', () => {
      seen += metrics.takeRequestLatencies().count;
      return seen > 0;
    });
    assert.equal(seen, 1);
  });
});
