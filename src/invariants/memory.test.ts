import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lanesOf } from '#kernel/bus/topology.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { createIdSource } from '#kernel/core/ids.ts';
import { positionIn } from '#kernel/core/log-position.ts';
import { topologyOf } from '#src/topologies.ts';
import { createAuditor } from './auditor.ts';
import { auditDelivery, MAX_CAUSES, noDeliveries } from './delivery-audit.ts';
import { createBoundedMemory, type WalletMoment } from './memory.ts';
import { auditPayment, factsOfPast } from './payment-audit.ts';

const LANE = lanesOf([topologyOf({ topology: 'by-type' })]);
const ids = createIdSource();
const WALLET_ID = ids.uuid();

/** A log in the making: one chain, every event at the end of its stream. */
function createHistory() {
  const events: RecordedEvent[] = [];
  const add = (aggregateType: string, aggregateId: string, type: string, data: object, correlationid = aggregateId) => {
    const own = events.filter((event) => event.aggregateType === aggregateType && event.aggregateId === aggregateId);
    const place = { aggregateType, aggregateId, streamPosition: own.length + 1 };
    const position = events.length + 1;
    const metadata = { correlationid, traceparent: '' };
    const event = { id: ids.uuid(), type, version: 1, ...place, chain: 1, chainPosition: position, sequence: position };
    events.push({ ...event, time: position, data, metadata });
  };
  let balance = 0;
  return {
    events,
    openWallet: (id = WALLET_ID) => add('wallet', id, 'wallet.opened', { overdraft_limit_minor: 250 }),
    pay: (): string => {
      const id = ids.uuid();
      add('payment', id, 'payments.created', { id, amount_minor: 100, currency: 'USD', method: 'wallet' });
      return id;
    },
    debit: (payment_id: string) => {
      const balances = { previous_balance_minor: balance, new_balance_minor: balance - 100 };
      balance -= 100;
      const data = { payment_id, wallet_id: WALLET_ID, amount_minor: 100, currency: 'USD', ...balances };
      add('wallet', WALLET_ID, 'wallet.debited', data, payment_id);
    },
  };
}

/** Shows the events page by page to an auditor with so little memory, and counts what had to be read again. */
async function auditBy(pageSize: number, events: readonly RecordedEvent[]) {
  const recalled = { payments: [] as string[], wallets: [] as WalletMoment[] };
  const memory = createBoundedMemory(
    LANE,
    { maxPayments: pageSize, maxWallets: pageSize },
    {
      paymentsAt: async (wanted, position) => {
        recalled.payments.push(...wanted);
        const before = events.filter((event) => event.chainPosition <= positionIn(position, 1));
        const of = (id: string) => before.filter(({ data }) => data.id === id || data.payment_id === id);
        return new Map(wanted.map((id) => [id, { events: of(id), blind: false }]));
      },
      walletsBefore: async (moments) => {
        recalled.wallets.push(...moments);
        return new Map(moments.map(({ id, before }) => [id, walletBefore(events, id, before)]));
      },
    },
  );
  const auditor = createAuditor(LANE, memory);
  const findings: string[] = [];
  for (let from = 0; from < events.length; from += pageSize) {
    const page = events.slice(from, from + pageSize);
    await memory.recall(page, { 1: from });
    for (const event of page)
      for (const { invariant, eventId } of auditor.observe(event)) findings.push(`${invariant} ${eventId}`);
  }
  return { findings, recalled, memory };
}

function walletBefore(events: readonly RecordedEvent[], id: string, before: number) {
  const own = events.filter((event) => event.aggregateId === id && event.streamPosition < before);
  return { balanceMinor: own.at(-1)!.data.new_balance_minor ?? 0, limitMinor: 250, position: before - 1 };
}

test('what is in the pages at hand is never read again', async () => {
  const { events, openWallet, pay, debit } = createHistory();
  openWallet();
  debit(pay());
  debit(pay());
  const { findings, recalled } = await auditBy(10, events);
  assert.deepEqual(findings, []);
  assert.deepEqual(recalled, { payments: [], wallets: [] });
});

test('a second debit of a payment that was forgotten is found, and nothing else', async () => {
  const { events, openWallet, pay, debit } = createHistory();
  openWallet();
  const first = pay();
  debit(first);
  for (let n = 0; n < 5; n++) pay();
  debit(first);
  const { findings, recalled } = await auditBy(2, events);
  assert.deepEqual(findings, [`taken_once ${events.at(-1)!.id}`]);
  assert.ok(recalled.payments.includes(first));
});

test('a payment is recalled as it was at the page, without what came after', async () => {
  const { events, openWallet, pay, debit } = createHistory();
  openWallet();
  const first = pay();
  for (let n = 0; n < 4; n++) pay();
  debit(first);
  pay();
  debit(pay());
  const { findings, recalled } = await auditBy(2, events);
  assert.deepEqual(findings, []);
  assert.ok(recalled.payments.includes(first));
});

test('a wallet that goes below its limit is found, though it was forgotten', async () => {
  const { events, openWallet, pay, debit } = createHistory();
  openWallet();
  debit(pay());
  debit(pay());
  openWallet(ids.uuid());
  debit(pay());
  const { findings, recalled } = await auditBy(1, events);
  assert.deepEqual(findings, [`within_limit ${events.at(-1)!.id}`]);
  assert.deepEqual(recalled.wallets, [{ id: WALLET_ID, before: 4 }]);
});

test('the memory keeps to its limits, and forgets all of it when told', async () => {
  const { events, pay } = createHistory();
  for (let n = 0; n < 50; n++) pay();
  const { memory } = await auditBy(5, events);
  assert.equal([...memory.payments.values()].length, 5);
  assert.equal([...memory.deliveries.values()].length, 5);
  memory.clear();
  assert.equal([...memory.payments.values()].length, 0);
});

test('a process without end remembers a limited number of causes, and the latest of them', () => {
  const { events, openWallet, debit } = createHistory();
  openWallet();
  for (let n = 0; n < MAX_CAUSES + 10; n++) debit(WALLET_ID);
  const facts = noDeliveries();
  for (const event of events) auditDelivery(facts, event, LANE);
  assert.equal(facts.causes.size, MAX_CAUSES);
  const cause = events.at(-1)!;
  const effect = { ...cause, id: ids.uuid(), type: 'payments.approved', aggregateType: 'payment' };
  const handled = { ...effect, metadata: { ...effect.metadata, causationid: cause.id } };
  assert.deepEqual(auditDelivery(facts, handled, LANE), []);
  const [again] = auditDelivery(facts, { ...handled, id: ids.uuid() }, LANE);
  assert.equal(again!.invariant, 'handled_once');
});

test('the order of one chain and of one stream is kept; two processes that write at the same moment have none', () => {
  const event = (chain: number, aggregateId: string, cause?: string): RecordedEvent => ({
    id: ids.uuid(),
    type: cause === undefined ? 'gateway.refund.answered' : 'payments.refunded',
    version: 1,
    aggregateType: cause === undefined ? 'gateway-refund' : 'payment',
    aggregateId,
    streamPosition: 1,
    chain,
    chainPosition: 1,
    time: 1,
    data: { payment_id: WALLET_ID },
    metadata: { correlationid: WALLET_ID, traceparent: '', ...(cause !== undefined && { causationid: cause }) },
  });
  const invariantsOf = (first: RecordedEvent, second: RecordedEvent) => {
    const facts = noDeliveries();
    const effects = [second, first].map(({ id }) => event(9, WALLET_ID, id));
    return [first, second, ...effects].flatMap((each) => auditDelivery(facts, each, LANE)).map((f) => f.invariant);
  };
  assert.deepEqual(invariantsOf(event(1, 'a'), event(1, 'b')), ['in_order']);
  assert.deepEqual(invariantsOf(event(1, 'a'), event(2, 'a')), ['in_order']);
  assert.deepEqual(invariantsOf(event(1, 'a'), event(2, 'b')), []);
});

test('money is believed to have moved that a payment acted on, where its wallet was not read', () => {
  const { events, openWallet, pay, debit } = createHistory();
  openWallet();
  const id = pay();
  debit(id);
  const own = events.filter(({ aggregateType }) => aggregateType === 'payment');
  const after = (type: string, data: object) => ({
    ...own[0]!,
    id: ids.uuid(),
    type,
    data: { payment_id: id, ...data },
  });
  const approved = after('payments.approved', { id, status: 'APPROVED', amount_minor: 100 });
  const refund = { refund_id: 'r', amount_minor: 30, refunded_minor: 30 };
  const past = [...own, approved, after('payments.refund.requested', refund), after('payments.refunded', refund)];
  const facts = factsOfPast(id, past, false);
  assert.deepEqual([facts.takings, facts.takenMinor, facts.givenBackMinor], [1, 100, 30]);
  const [second] = auditPayment(facts, events.at(-1)!);
  assert.equal(second!.invariant, 'taken_once');
  assert.deepEqual(auditPayment(factsOfPast(id, own, true), approved), []);
  assert.equal(auditPayment(factsOfPast(id, own, false), approved)[0]!.invariant, 'taken_once');
});
