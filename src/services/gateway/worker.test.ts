import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { pino } from 'pino';
import { systemClock } from '#kernel/core/clock.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { createSimulator, type SimulatorOptions } from '../../../simulator/server.ts';
import type { CallReport } from './attempt.ts';
import { createSimulatorProvider } from './providers/simulator.ts';
import { type RecordedCharge, reconcile } from './reconciliation.ts';
import type { GatewaySettings } from './settings.ts';
import { createTestPlatform, eventually, QUICK, type TestPlatform } from './test-support.ts';
import { createGatewayWorker, type GatewayWorker } from './worker.ts';

/** For tokens that are never answered. */
const IMPATIENT = { callTimeoutMs: 250 };
const LOOKED_UP_SOON = { pendingRetry: { ...QUICK.pendingRetry, initialMs: 10 } };
const silent = pino({ level: 'silent' });

interface Laboratory {
  readonly platform: TestPlatform;
  readonly calls: CallReport[];
  readonly url: string;
  /** Another worker on the same work list, started. */
  worker(): GatewayWorker;
  faults(faults: object): Promise<void>;
  charges(): Promise<readonly RecordedCharge[]>;
  /** Waits for the final answer to a charge or a refund, and gives all of its answers. */
  settled(id: string): Promise<readonly string[]>;
  reconciled(): Promise<void>;
}

interface LaboratoryOptions {
  readonly settings?: Partial<GatewaySettings>;
  readonly simulator?: SimulatorOptions;
  /** False: the worker is left to the test. */
  readonly running?: boolean;
}

/** The service with the real simulator as its gateway; both end with the test. */
async function openLaboratory(t: TestContext, options: LaboratoryOptions = {}): Promise<Laboratory> {
  const settings: GatewaySettings = { ...QUICK, ...options.settings };
  const simulator = createSimulator({ port: 0, slowMs: 20, asyncMs: 20, log: () => undefined, ...options.simulator });
  const { url } = await simulator.start();
  t.after(() => simulator.stop());
  const platform = createTestPlatform(settings);
  const calls: CallReport[] = [];

  function worker(): GatewayWorker {
    const provider = createSimulatorProvider({ baseUrl: url, maxConnections: 64, webhookSecret: undefined });
    const { executor, workList } = platform;
    const onCall = (report: CallReport) => void calls.push(report);
    const ports = { executor, workList, provider, clock: systemClock, random: Math.random, log: silent, onCall };
    const created = createGatewayWorker(settings, ports);
    t.after(() => created.stop());
    created.start();
    return created;
  }

  const laboratory: Laboratory = {
    platform,
    calls,
    url,
    worker,
    faults: async (faults) => {
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(`${url}/faults`, { method: 'POST', headers, body: JSON.stringify(faults) });
      assert.equal(response.status, 200);
    },
    charges: async () => {
      const response = await fetch(`${url}/charges?limit=1000`);
      return ((await response.json()) as { data: readonly RecordedCharge[] }).data;
    },
    settled: async (id) => {
      await eventually(`${id} is answered`, () => platform.answers(id).some((answer) => !answer.startsWith('TIMEOUT')));
      return platform.answers(id);
    },
    reconciled: async () => {
      assert.deepEqual(reconcile(await laboratory.charges(), platform.believed()), []);
    },
  };
  if (options.running !== false) {
    const first = worker();
    platform.onCommitted = first.onCommitted;
  }
  return laboratory;
}

describe('each card token ends as it says', () => {
  const cases: readonly [token: string | undefined, answers: readonly string[]][] = [
    [undefined, ['SUCCESS success']],
    ['tok_visa', ['SUCCESS success']],
    ['tok_mastercard', ['SUCCESS success']],
    ['tok_declined', ['FAILED card_declined']],
    ['tok_insufficient_funds', ['INSUFFICIENT_FUNDS insufficient_funds']],
    ['tok_stolen', ['FAILED stolen_card']],
    ['tok_slow', ['SUCCESS success']],
    ['tok_timeout_charged', ['TIMEOUT timeout', 'SUCCESS success']],
    ['tok_timeout_not_charged', ['TIMEOUT timeout', 'FAILED gateway_timeout']],
    ['tok_error_then_ok', ['SUCCESS success']],
    ['tok_nonsense', ['FAILED unknown_token']],
    ['4242424242424242', ['FAILED card_number_refused']],
  ];
  for (const [token, expected] of cases) {
    test(token ?? 'no token', async (t) => {
      const settings = token?.startsWith('tok_timeout') ? IMPATIENT : {};
      const { platform, settled, reconciled } = await openLaboratory(t, { settings });
      const { data } = platform.charge({ token });
      assert.deepEqual(await settled(data.payment_id), expected);
      await reconciled();
    });
  }

  for (const token of ['tok_async', 'tok_webhook_twice', 'tok_webhook_late']) {
    test(`${token}, when its webhook is lost: a look-up finds the answer`, async (t) => {
      const { platform, settled, reconciled } = await openLaboratory(t, { settings: LOOKED_UP_SOON });
      const { data } = platform.charge({ token });
      assert.deepEqual(await settled(data.payment_id), ['SUCCESS success']);
      assert.equal(platform.events[0]?.type, 'gateway.charge.sent');
      await reconciled();
    });
  }
});

describe('refunds', () => {
  const cases: readonly [token: string, answers: readonly string[]][] = [
    ['tok_visa', ['SUCCESS success']],
    ['tok_refund_fails', ['FAILED refund_declined']],
    ['tok_refund_async', ['SUCCESS success']],
    ['tok_refund_timeout', ['TIMEOUT timeout', 'SUCCESS success']],
  ];
  for (const [token, expected] of cases) {
    test(`of a charge with ${token}`, async (t) => {
      const settings = { ...LOOKED_UP_SOON, ...(token === 'tok_refund_timeout' && IMPATIENT) };
      const { platform, settled, reconciled } = await openLaboratory(t, { settings });
      const charge = platform.charge({ token });
      await settled(charge.data.payment_id);
      const refund = platform.refund(charge.data.payment_id, 4_000);
      assert.deepEqual(await settled(refund.data.refund_id), expected);
      await reconciled();
    });
  }

  test('of more than was taken: refused, and nothing is given back', async (t) => {
    const { platform, settled, reconciled } = await openLaboratory(t);
    const charge = platform.charge({ token: 'tok_visa', amountMinor: 1_000 });
    await settled(charge.data.payment_id);
    const refund = platform.refund(charge.data.payment_id, 1_001);
    assert.deepEqual(await settled(refund.data.refund_id), ['FAILED refund_exceeds_charge']);
    await reconciled();
  });
});

describe('a gateway that cannot be reached', () => {
  test('opens the circuit; charges wait, and all go through when it is back', async (t) => {
    const settings = { breakerFailures: 3, breakerHalfOpenAfterMs: 200 };
    const laboratory = await openLaboratory(t, { settings, running: false });
    const { platform, faults, settled, reconciled, calls, charges } = laboratory;
    const worker = laboratory.worker();
    platform.onCommitted = worker.onCommitted;
    await faults({ outage: true });
    const first = platform.charge();
    await eventually('the circuit opens', () => worker.status().breaker.state === 'open');
    const others = Array.from({ length: 20 }, () => platform.charge());
    await eventually('the others wait', () =>
      others.every(({ data }) => platform.rows.get(`${data.payment_id}/charge`)?.reason),
    );
    assert.ok(calls.some(({ outcome }) => outcome === 'rejected'));
    await faults({ outage: false });
    for (const { data } of [first, ...others]) {
      assert.equal((await settled(data.payment_id)).at(-1), 'SUCCESS success');
    }
    assert.equal((await charges()).length, 21);
    await reconciled();
  });

  test('refuses connections: certainly nothing was sent, so it is given up when it is too old', async (t) => {
    const url = `http://127.0.0.1:${await unusedPort()}`;
    const settings = { ...QUICK, breakerFailures: 2, breakerHalfOpenAfterMs: 60_000, giveUpAfterMs: 200 };
    const platform = createTestPlatform(settings);
    const provider = createSimulatorProvider({ baseUrl: url, maxConnections: 4, webhookSecret: undefined });
    const { executor, workList } = platform;
    const ports = { executor, workList, provider, clock: systemClock, random: Math.random, log: silent };
    const worker = createGatewayWorker(settings, { ...ports, onCall: () => undefined });
    t.after(() => worker.stop());
    platform.onCommitted = worker.onCommitted;
    worker.start();
    const ids = Array.from({ length: 5 }, () => platform.charge().data.payment_id);
    await eventually('all are given up', () => ids.every((id) => platform.answers(id).length > 0));
    for (const id of ids) assert.deepEqual(platform.answers(id), ['FAILED gateway_unavailable']);
    assert.equal(
      platform.events.some(({ type }) => type === 'gateway.charge.sent'),
      false,
    );
    assert.equal(worker.status().breaker.state, 'open');
  });

  test('answers errors, also when asked what became of the charge: unknown until it can be looked up', async (t) => {
    const { platform, faults, settled, calls } = await openLaboratory(t);
    const { data } = platform.charge();
    await settled(data.payment_id);
    await faults({ error_rate: 1 });
    const failing = platform.charge();
    await eventually('it is unknown', () => platform.answers(failing.data.payment_id).length > 0);
    assert.deepEqual(platform.answers(failing.data.payment_id), ['TIMEOUT gateway_error']);
    assert.ok(calls.some(({ call, outcome }) => call === 'look_up' && outcome === 'error'));
    await faults({ error_rate: 0 });
    assert.deepEqual(await settled(failing.data.payment_id), ['TIMEOUT gateway_error', 'SUCCESS success']);
  });
});

/** The call of a process that knows nothing of it any more. */
async function sendCharge(url: string, data: RecordedEvent['data']): Promise<void> {
  const { amount_minor, currency, payment_id, idempotency_key } = data;
  const headers = { 'content-type': 'application/json', 'idempotency-key': idempotency_key };
  const body = JSON.stringify({ amount_minor, currency, reference: payment_id, payment_token: 'tok_visa' });
  assert.equal((await fetch(`${url}/v1/charges`, { method: 'POST', headers, body })).status, 201);
}

/** Longer than a call takes on a busy machine: the worker's own calls must not pass for those of a dead process. */
const SHORT_LEASE_MS = 300;

describe('what a process leaves behind when it dies', () => {
  test('a charge that was taken but not recorded is found by a look-up, and not sent again', async (t) => {
    const { platform, settled, worker, url, calls, reconciled } = await openLaboratory(t, {
      settings: { leaseMs: SHORT_LEASE_MS },
      running: false,
    });
    const { data } = platform.charge();
    await sendCharge(url, data);
    worker();
    assert.deepEqual(await settled(data.payment_id), ['SUCCESS success']);
    assert.deepEqual(
      calls.map(({ call, outcome }) => `${call} ${outcome}`),
      ['look_up answered'],
    );
    await reconciled();
  });

  test('a charge that was never sent is looked up, then sent', async (t) => {
    const { platform, settled, worker, calls } = await openLaboratory(t, {
      settings: { leaseMs: SHORT_LEASE_MS },
      running: false,
    });
    const { data } = platform.charge();
    worker();
    assert.deepEqual(await settled(data.payment_id), ['SUCCESS success']);
    assert.deepEqual(
      calls.map(({ call, outcome }) => `${call} ${outcome}`),
      ['look_up not_found', 'charge answered'],
    );
  });

  test('its last call may still be on its way: it is waited for before the charge is given up', async (t) => {
    const settings = { leaseMs: SHORT_LEASE_MS, maxCalls: 1, callTimeoutMs: 2_000, settleMs: 200 };
    const { platform, settled, worker, url, calls, reconciled } = await openLaboratory(t, { settings, running: false });
    const [late, lost] = [platform.charge().data, platform.charge().data];
    worker();
    await eventually('both were looked up', () => calls.length === 2);
    await sendCharge(url, late);
    assert.deepEqual(await settled(late.payment_id), ['SUCCESS success']);
    assert.deepEqual(await settled(lost.payment_id), ['FAILED gateway_unavailable']);
    assert.deepEqual(calls.map(({ call, outcome }) => `${call} ${outcome}`).sort(), [
      'look_up answered',
      ...Array.from({ length: 3 }, () => 'look_up not_found'),
    ]);
    await reconciled();
  });

  test('whoever has lost its lease looks the charge up, and sends nothing', async (t) => {
    const { platform, calls, charges } = await openLaboratory(t, { settings: { leaseMs: 0 } });
    platform.charge();
    await eventually('it was looked up three times', () => calls.length >= 3);
    assert.ok(calls.every(({ call }) => call === 'look_up'));
    assert.deepEqual(await charges(), []);
  });

  test('a stop does not wait for calls that may be on their way', async (t) => {
    const settings = { leaseMs: SHORT_LEASE_MS, maxCalls: 1, settleMs: 60_000 };
    const { platform, worker, calls } = await openLaboratory(t, { settings, running: false });
    const { data } = platform.charge();
    const running = worker();
    await eventually('it was looked up, and waits', () => calls.length === 1 && running.status().queued === 1);
    await running.stop();
    assert.deepEqual(running.status().queued, 0);
    assert.deepEqual(platform.answers(data.payment_id), []);
  });

  test('an answer that cannot be recorded is looked up when the store is back', async (t) => {
    const { platform, settled, calls, reconciled } = await openLaboratory(t, { settings: { leaseMs: 50 } });
    platform.broken = new Error('the store is out of reach');
    const { data } = platform.charge();
    await eventually('the gateway was called', () => calls.length > 0);
    platform.broken = undefined;
    assert.deepEqual(await settled(data.payment_id), ['SUCCESS success']);
    await reconciled();
  });

  test('a request that is asked again is due at once, looked up first, and answered once', async (t) => {
    const { platform, settled, worker, calls } = await openLaboratory(t, {
      settings: { leaseMs: 60_000 },
      running: false,
    });
    const { data } = platform.charge();
    platform.onCommitted = worker().onCommitted;
    platform.charge({ id: data.payment_id, attempt: 2 });
    assert.deepEqual(await settled(data.payment_id), ['SUCCESS success']);
    platform.charge({ id: data.payment_id, attempt: 3 });
    assert.deepEqual(
      calls.map(({ call, outcome }) => `${call} ${outcome}`),
      ['look_up not_found', 'charge answered'],
    );
    assert.equal(platform.rows.get(`${data.payment_id}/charge`)?.state, 'answered');
  });
});

test('two workers share the list, and each charge is taken once', async (t) => {
  const { platform, worker, charges, settled, reconciled } = await openLaboratory(t, { settings: { leaseMs: 5 } });
  worker();
  const ids = Array.from({ length: 100 }, () => platform.charge().data.payment_id);
  for (const id of ids) assert.equal((await settled(id)).at(-1), 'SUCCESS success');
  assert.equal((await charges()).length, 100);
  await reconciled();
});

test('more requests than may wait in memory are all answered', async (t) => {
  const settings = { maxInFlight: 2, maxQueued: 5, leaseMs: 50 };
  const { platform, settled, reconciled } = await openLaboratory(t, { settings });
  const ids = Array.from({ length: 60 }, () => platform.charge().data.payment_id);
  for (const id of ids) assert.deepEqual(await settled(id), ['SUCCESS success']);
  await reconciled();
});

test('a charge whose key the gateway used for another amount stays unknown', async (t) => {
  const { platform, url, calls } = await openLaboratory(t);
  const id = '019a0000-0000-7000-8000-00000000000a';
  const headers = { 'content-type': 'application/json', 'idempotency-key': `charge-${id}` };
  const body = { amount_minor: 1, currency: 'USD', reference: id };
  await fetch(`${url}/v1/charges`, { method: 'POST', headers, body: JSON.stringify(body) });
  platform.charge({ id });
  await eventually('it was looked up three times', () => calls.filter(({ call }) => call === 'look_up').length >= 3);
  assert.deepEqual(platform.answers(id), ['TIMEOUT answer_mismatch']);
});

test('a stop lets calls under way end and takes nothing new', async (t) => {
  const { platform, worker, calls } = await openLaboratory(t, { running: false, simulator: { slowMs: 100 } });
  const stopping = worker();
  platform.onCommitted = stopping.onCommitted;
  const { data } = platform.charge({ token: 'tok_slow' });
  await eventually('it is under way', () => stopping.status().inFlight === 1);
  const stopped = stopping.stop();
  const late = platform.charge();
  await stopped;
  assert.deepEqual(platform.answers(data.payment_id), ['SUCCESS success']);
  assert.deepEqual(platform.answers(late.data.payment_id), []);
  assert.equal(calls.length, 1);
});

test('random tokens while the gateway fails, cuts connections and is slow: every cent is explained', async (t) => {
  // A call that timed out because this process was busy may arrive seconds later.
  const settings = { ...IMPATIENT, ...LOOKED_UP_SOON, settleMs: 5_000 };
  const { platform, faults, settled, reconciled } = await openLaboratory(t, { settings });
  await faults({ error_rate: 0.2, drop_rate: 0.2, latency_ms: 2, seed: 7 });
  const tokens = ['tok_visa', 'tok_declined', 'tok_async', 'tok_error_then_ok', 'tok_timeout_charged', 'tok_slow'];
  const ids = Array.from(
    { length: 120 },
    (_, n) => platform.charge({ token: tokens[n % tokens.length] }).data.payment_id,
  );
  await eventually('half of them are answered', () => ids.filter((id) => platform.answers(id).length > 0).length > 60);
  await faults({ error_rate: 0, drop_rate: 0, latency_ms: 0 });
  for (const id of ids) await settled(id);
  for (const id of ids) {
    const finals = platform.answers(id).filter((answer) => !answer.startsWith('TIMEOUT'));
    assert.equal(finals.length, 1);
  }
  await reconciled();
});

async function unusedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
