import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, type TestContext, test } from 'node:test';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { createIdSource } from '#kernel/core/ids.ts';
import type { PendingEvent } from '#kernel/event-store/store.ts';
import { createLog } from '#kernel/observability/log.ts';
import { createMetrics } from '#kernel/observability/metrics.ts';
import { createMetricsService } from '#services/metrics/index.ts';
import { brokenInvariants, type FindingRow, openFindings, settleFindings } from '#services/metrics/queries.ts';
import { PAYMENT } from '#services/payments/contract.ts';
import { WALLET, walletIdOf } from '#services/wallets/contract.ts';
import { auditLog } from '#src/cli/log-audit.ts';
import { type Books, openBooks } from '#src/composition/books.ts';
import { type InvariantMonitor, invariantMonitor } from '#src/composition/monitor.ts';
import { createPast } from '#src/composition/past.ts';
import type { Config } from '#src/config.ts';
import { INVARIANTS, nameOf } from '#src/invariants/finding.ts';
import { openWriter } from '../support/appending.ts';
import { onEnd } from '../support/cleanup.ts';
import { type InjectedApi, startInjectedApi } from '../support/injected-api.ts';
import { newUser } from '../support/money.ts';
import { until } from '../support/until.ts';

const SETTINGS = { monitorPauseMs: 10, monitorEventsPerSecond: 100_000, monitorSamples: 50, monitorGraceMs: 300 };
/** What is committed past the services is in no read model. */
const AUDIT_ONLY = { monitorSamples: 0 };
const ids = createIdSource();

function booksOf({ databases, definitions, kernel }: InjectedApi): Books {
  return openBooks(databases, definitions, kernel.backend.clock);
}

/** What `caudal verify` finds in the log. */
async function verified(api: InjectedApi): Promise<readonly string[]> {
  const passed: number[] = [];
  const findings = await auditLog(booksOf(api), api.config, (done, total) => passed.push(done, total));
  assert.equal(passed.at(-1), passed.at(-2));
  return findings.map(({ message }) => message);
}

describe('the monitor of the invariants', () => {
  let api: InjectedApi;
  before(async () => {
    api = await startInjectedApi();
  });
  after(() => api.close());
  beforeEach(async () => {
    await settleFindings(api.sql, undefined);
  });

  const started = async (t: TestContext, settings: Partial<Config> = {}, lines: string[] = []) => {
    const { kernel, definitions } = api;
    const config = { ...api.config, ...SETTINGS, ...settings, instance: ids.uuid() };
    const log = createLog('warn', { write: (line) => void lines.push(line) });
    const monitor = invariantMonitor({ config, books: booksOf(api), kernel, definitions, log });
    await monitor.start();
    onEnd(t, () => monitor.stop());
    return monitor;
  };

  const caughtUp = (monitor: InvariantMonitor) => until('it has seen all', async () => (await monitor.lag()) === 0);

  const found = async (invariant: keyof typeof INVARIANTS): Promise<FindingRow> => {
    let finding: FindingRow | undefined;
    await until(`${invariant} is found`, async () => {
      finding = (await openFindings(api.sql)).find((each) => each.invariant === invariant);
      return finding !== undefined;
    });
    return finding!;
  };

  /** A user with money. */
  const rich = async (): Promise<string> => {
    const user_id = newUser();
    await api.post('/wallets', { user_id, currency: 'USD', overdraft_limit: 1000 });
    return user_id;
  };

  /** @returns the id of a payment that was approved */
  const paid = async (customer_id: string): Promise<string> => {
    const body = { amount: 1, currency: 'USD', method: 'wallet', customer_id };
    const { body: payment } = await api.post('/payments', body, { prefer: 'wait=20' });
    assert.equal(payment.status, 'APPROVED');
    return payment.id;
  };

  const lastEvent = async (type: string, id: string): Promise<RecordedEvent> => {
    const [event] = await api.kernel.backend.store.readStream({ type, id }, { limit: 1, backwards: true });
    return event!;
  };

  /** What a bug may commit: another event at the end of the stream of this one. @returns the event */
  const appendTo = async (t: TestContext, last: RecordedEvent, change: Partial<PendingEvent>) => {
    const { aggregateType: type, aggregateId: id, streamPosition } = last;
    const event = { ...last, id: ids.uuid(), time: Date.now(), ...change };
    const append = { stream: { type, id }, expectedPosition: streamPosition, events: [event] };
    const writer = await openWriter(t, api.kernel.backend.store, 'rogue');
    const { events } = await writer.commit({ appends: [append] });
    return events[0]!;
  };

  /** Takes the money of the wallet's last debit once more. */
  const debitAgain = async (t: TestContext, user: string): Promise<RecordedEvent> => {
    const last = await lastEvent(WALLET, walletIdOf(user));
    const { new_balance_minor, amount_minor } = last.data;
    const balances = { previous_balance_minor: new_balance_minor, new_balance_minor: new_balance_minor - amount_minor };
    const metadata = { ...last.metadata, causationid: ids.uuid() };
    return appendTo(t, last, { data: { ...last.data, ...balances }, metadata });
  };

  test('is silent while all is well', async (t) => {
    const lines: string[] = [];
    const monitor = await started(t, {}, lines);
    const user = await rich();
    for (let n = 0; n < 3; n++) await paid(user);
    await api.post(`/payments/${await paid(user)}/refunds`, { reason: 'broken', amount: 1 });
    await api.post(`/wallets/${user}/credits`, { amount: 5, reason: 'deposit', reference: 'd-1' });
    await caughtUp(monitor);
    assert.deepEqual(await openFindings(api.sql), []);
    assert.deepEqual(lines, []);
  });

  test('finds a second debit; metric, alert and log name the event', async (t) => {
    const lines: string[] = [];
    const monitor = await started(t, {}, lines);
    const user = await rich();
    const payment = await paid(user);
    const event = await debitAgain(t, user);
    const finding = await found('taken_once');
    assert.equal(finding.event_id, event.id);
    assert.equal(finding.message, `payment ${payment}: taken 2 times (${nameOf(event)})`);
    await caughtUp(monitor);
    const logged = lines.map((line) => JSON.parse(line)).filter(({ event_id }) => event_id === event.id);
    assert.deepEqual(
      logged.map(({ level, invariant, message }) => [level, invariant, message]),
      [['ERROR', 'taken_once', finding.message]],
    );
    const { metrics, alert } = await shown(t);
    assert.match(metrics, /^caudal_broken_invariants\{invariant="taken_once"\} 1$/m);
    assert.match(metrics, /^caudal_broken_invariants\{invariant="balanced"\} 0$/m);
    assert.match(metrics, /^caudal_alert\{name="broken_invariant"\} 1$/m);
    assert.ok(alert.includes(`taken_once: ${finding.message}`), alert);
    assert.ok(alert.includes('docs/runbooks/broken-invariant.md'), alert);
  });

  /** What a process shows of the findings. */
  const shown = async (t: TestContext): Promise<{ readonly metrics: string; readonly alert: string }> => {
    const { context } = api;
    const { registry } = createMetrics();
    const sources = {
      ...{ processors: [], followers: [], monitorLag: async () => 0, breakers: () => [] },
      requestLatencies: () => ({ count: 0, p95: 0, p99: 0 }),
      pool: () => ({ total: 1, idle: 1, waiting: 0, max: 10 }),
      ...{ failures: async () => [], stuckSagas: async () => 0, brokenSums: async () => [] },
      openFindings: () => brokenInvariants(api.sql),
      invariants: Object.keys(INVARIANTS),
    };
    const settings = { sampleMs: 5, invariantMs: 1000 };
    const { clock, log } = context;
    const service = createMetricsService(settings, { registry, tails: [api.tail], sources, clock, log });
    service.start();
    onEnd(t, () => service.stop());
    await until('it has looked', () => service.alerts.some(({ name }) => name === 'broken_invariant'));
    const { message } = service.alerts.find(({ name }) => name === 'broken_invariant')!;
    return { metrics: await registry.metrics(), alert: message };
  };

  test('goes on after a restart from where it was, and knows what was before', async (t) => {
    const first = await started(t, AUDIT_ONLY);
    const [one, two] = [await rich(), await rich()];
    const payment = await paid(one);
    await paid(two);
    await caughtUp(first);
    await first.stop();
    const event = await debitAgain(t, one);
    await started(t, AUDIT_ONLY);
    const finding = await found('taken_once');
    assert.equal(finding.message, `payment ${payment}: taken 2 times (${nameOf(event)})`);
    assert.equal((await openFindings(api.sql)).length, 1);
  });

  test('reads again what it has forgotten', async (t) => {
    const monitor = await started(t, { ...AUDIT_ONLY, monitorPageEvents: 4, monitorPayments: 4, monitorWallets: 4 });
    const users: string[] = [];
    for (let n = 0; n < 12; n++) users.push(await rich());
    const payments: string[] = [];
    for (const user of users) payments.push(await paid(user));
    await caughtUp(monitor);
    const event = await debitAgain(t, users[0]!);
    const finding = await found('taken_once');
    assert.equal(finding.message, `payment ${payments[0]}: taken 2 times (${nameOf(event)})`);
    assert.equal((await openFindings(api.sql)).length, 1);
  });

  test('finds a movement that does not start from the balance before it, though the wallet was forgotten', async (t) => {
    const first = await started(t);
    const user = await rich();
    await paid(user);
    await caughtUp(first);
    await first.stop();
    const last = await lastEvent(WALLET, walletIdOf(user));
    const { payment_id: _, ...data } = last.data;
    const event = await appendTo(t, last, { data: { ...data, previous_balance_minor: 0, new_balance_minor: -100 } });
    await started(t);
    assert.equal((await found('within_limit')).event_id, event.id);
  });

  test('finds a final status after another, and a posting that cannot be', async (t) => {
    await started(t);
    const [one, two] = [await rich(), await rich()];
    await paid(two);
    const last = await lastEvent(PAYMENT, await paid(one));
    const failed = await appendTo(t, last, { type: 'payments.failed', data: { ...last.data, status: 'FAILED' } });
    assert.equal((await found('one_final_status')).event_id, failed.id);
    const debit = await lastEvent(WALLET, walletIdOf(two));
    const off = await appendTo(t, debit, { data: { ...debit.data, amount_minor: -1 } });
    assert.equal((await found('balanced')).event_id, off.id);
  });

  test('finds money that stays where it does not belong, and so does caudal verify', async (t) => {
    const { kernel } = api;
    await started(t, AUDIT_ONLY);
    const payment = await paid(await rich());
    const last = await lastEvent(PAYMENT, payment);
    const { reason: _, ...data } = last.data;
    const failed = await appendTo(t, last, {
      type: 'payments.failed',
      data: { ...data, status: 'FAILED', reason: 'x' },
    });
    kernel.tail.wake();
    const finding = await found('taken_once');
    const kept = `payment ${payment}: FAILED: 100 were kept instead of 0 (the last is ${nameOf(failed)})`;
    assert.equal(finding.message, kept);
    const all = (await verified(api)).filter((message) => message.includes(payment));
    assert.deepEqual(all, [`payment ${payment}: FAILED after APPROVED (${nameOf(failed)})`, kept]);
  });

  test('recalls a payment that was under way with what its wallet had answered, if that is not too far back', async () => {
    const { store } = api.kernel.backend;
    const user = await rich();
    const payment = await paid(user);
    const approved = await lastEvent(PAYMENT, payment);
    const debit = await lastEvent(WALLET, walletIdOf(user));
    const before = { ...(await store.head()), [approved.chain]: approved.chainPosition - 1 };
    const past = createPast(booksOf(api));
    const recall = async (wallet: number | undefined) =>
      (await past.paymentsAt([payment], before, () => wallet)).get(payment)!;
    const types = ['payments.created', 'wallet.debit.requested', 'wallet.debited'];
    const near = await recall(undefined);
    assert.deepEqual([near.events.map(({ type }) => type), near.blind], [types, false]);
    const body = { amount: 1, currency: 'USD', method: 'wallet', customer_id: user };
    await api.post('/payments/batch', { payments: Array.from({ length: 600 }, () => body) });
    await until('the wallet has moved', async () => {
      const last = await lastEvent(WALLET, walletIdOf(user));
      return last.streamPosition >= debit.streamPosition + 600;
    });
    const far = await recall(undefined);
    assert.deepEqual([far.events.map(({ type }) => type), far.blind], [types.slice(0, 2), true]);
    const known = await recall(debit.streamPosition);
    assert.deepEqual([known.events.map(({ type }) => type), known.blind], [types, false]);
  });

  test('finds a balance, and the row of a payment, that was changed', async (t) => {
    const user = await rich();
    const payment = await paid(user);
    const { sql } = api;
    await until('the row is there', async () => {
      const rows = await sql.query('SELECT 1 FROM payments.saga_projections WHERE payment_id = $1 AND version >= 3', [
        payment,
      ]);
      return rows.length > 0;
    });
    await sql.query('UPDATE payments.saga_projections SET amount_minor = 7 WHERE payment_id = $1', [payment]);
    await sql.query('UPDATE wallets.wallet_balances SET balance_minor = balance_minor + 1 WHERE user_id = $1', [user]);
    await started(t);
    await until('both are found', async () => (await openFindings(sql)).length === 2);
    const findings = await openFindings(sql);
    const texts = findings.map(({ message }) => message).sort();
    const [saga, debit] = [await lastEvent(PAYMENT, payment), await lastEvent(WALLET, walletIdOf(user))];
    assert.deepEqual(texts, [
      `payments.saga_projections ${payment}: amount_minor is 7, not 100 (${nameOf(saga)})`,
      `wallets.wallet_balances ${walletIdOf(user)}: balance_minor is -99, not -100 (${nameOf(debit)})`,
    ]);
  });

  test('finds an event that was changed, and that one was removed', async (t) => {
    const user = await rich();
    const { sql } = api;
    const [changed, removed] = [await lastEvent(PAYMENT, await paid(user)), await lastEvent(PAYMENT, await paid(user))];
    await paid(user);
    await sql.query(`UPDATE events SET event_data = event_data || '{"reason": "x"}' WHERE event_id = $1`, [changed.id]);
    await sql.query('DELETE FROM events WHERE event_id = $1', [removed.id]);
    await started(t);
    await until('both are found', async () => (await openFindings(sql)).length >= 2);
    const broken = (await openFindings(sql)).filter(({ invariant }) => invariant === 'chain_whole');
    assert.equal(broken.length, 2);
    assert.equal(broken[0]!.event_id, changed.id);
    assert.match(broken[1]!.message, new RegExp(`from position ${removed.chainPosition} on, was removed`));
  });

  test('finds a saga that nobody looks after', async (t) => {
    await started(t);
    const payment = await paid(await rich());
    const { sql } = api;
    await until('the row is final', async () => {
      const rows = await sql.query<{ deadline_at: number | null }>(
        `SELECT deadline_at FROM payments.saga_projections WHERE payment_id = $1 AND status = 'APPROVED'`,
        [payment],
      );
      return rows.length > 0;
    });
    await sql.query(
      `UPDATE payments.saga_projections SET deadline_at = now() - interval '1 hour' WHERE payment_id = $1`,
      [payment],
    );
    const finding = await found('has_owner');
    assert.equal(finding.event_id, (await lastEvent(PAYMENT, payment)).id);
    assert.match(finding.message, /nobody looks after it/);
    await sql.query('UPDATE payments.saga_projections SET deadline_at = NULL WHERE payment_id = $1', [payment]);
  });

  test('one looks, the other goes on when it stops', async (t) => {
    const first = await started(t, { ...AUDIT_ONLY, heartbeatMs: 20 });
    const second = await started(t, { ...AUDIT_ONLY, heartbeatMs: 20 });
    const user = await rich();
    await paid(user);
    await caughtUp(first);
    await caughtUp(second);
    await first.stop();
    await debitAgain(t, user);
    await found('taken_once');
    assert.equal((await openFindings(api.sql)).length, 1);
  });
});
