// A platform is moved between topologies while payments are made. How many is what the machine can do with a few clients; to offer
// more, whether they are answered or not, and without the time limits of "npm test":
//   CAUDAL_TEST_PAYMENTS_PER_SECOND=1000 node --test --test-name-pattern Kafka tests/integration/migration.test.ts
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { eventTopics } from '#kernel/bus/topology.ts';
import { UnavailableError } from '#kernel/core/errors.ts';
import type { Pool } from '#kernel/postgres/pool.ts';
import type { ServiceName } from '#src/config.ts';
import { byFlow } from '#src/topologies/by-flow.ts';
import { byType } from '#src/topologies/by-type.ts';
import { single } from '#src/topologies/single.ts';
import { openKafka } from '../support/kafka.ts';
import { messagesOn, type SeenMessage } from '../support/kafka-topic.ts';
import { openMigrating, startPaying } from '../support/migrating.ts';
import { assertLedgerBalanced, finalPayment, walletWith } from '../support/money.ts';
import { runProgram } from '../support/program.ts';
import { until } from '../support/until.ts';

const USERS = 10;
/** Of a machine that was offered more than it can do. */
const APPROVED_LIMIT_MS = 15 * 60_000;
const ATTEMPTS = 5;

interface Bus {
  readonly name: string;
  /** Services with databases of their own. */
  readonly apart: readonly ServiceName[];
  open(t: TestContext): Promise<readonly string[] | undefined>;
}

const BUSES: readonly Bus[] = [
  { name: 'the PostgreSQL bus', apart: [], open: async () => undefined },
  {
    name: 'Kafka, wallets and gateway in databases of their own',
    apart: ['wallets', 'gateway'],
    open: async (t) => (await openKafka(t)).bootstrap,
  },
];

for (const { name, apart, open } of BUSES) {
  test(`single to by-flow, half-way back, there again, and on to by-type while payments are made: ${name}`, async (t) => {
    const brokers = await open(t);
    const { env, pool, platform, migration } = await openMigrating(t, brokers, apart);
    const users = await Promise.all(Array.from({ length: USERS }, () => walletWith(platform, '10000.00')));
    const paying = startPaying(platform, users);
    await paying.goOn();

    let moved = 0;
    const interrupted = migration((message) => {
      if (message.endsWith('is on by-flow') && ++moved === 2) throw new Error('the operator thinks again');
    });
    await assert.rejects(
      repeated(() => interrupted.forward(byFlow)),
      /the operator thinks again/,
    );
    await paying.goOn();
    const steps: string[] = [];
    const whole = migration((message) => void steps.push(message));
    await assert.rejects(whole.forward(byType), /the store is on its way to by-flow/);
    await assert.rejects(whole.retire(), /still on single: gateway, payments|still on single: /);
    await repeated(whole.back);
    assert.equal((await whole.status()).target, undefined);
    await paying.goOn();

    for (const topology of [byFlow, byType]) {
      await repeated(() => whole.forward(topology));
      await paying.goOn();
      await repeated(whole.retire);
      const { current, target, consumers } = await whole.status();
      assert.deepEqual([current, target], [topology.name, undefined]);
      assert.deepEqual(new Set(consumers.map((seat) => seat.topology)), new Set([topology.name]));
      await paying.goOn();
    }
    await assert.rejects(whole.forward(byType), /the store is on by-type already/);
    await paying.stop();

    t.diagnostic(`${name}: ${paying.summary()}`);
    t.diagnostic(steps.join('; '));
    await until(
      'every payment is approved',
      async () => (await countOf(pool, 'payments.approved')) >= paying.ids.length,
      APPROVED_LIMIT_MS,
    );
    for (const type of ['payments.created', 'payments.checked', 'payments.approved'])
      assert.equal(await countOf(pool, type), paying.ids.length, type);
    for (const id of paying.ids.slice(-20)) assert.equal((await finalPayment(platform, id)).status, 'APPROVED');
    await assertLedgerBalanced(platform);
    await until('nothing is on its way to Kafka', async () => ((await whole.status()).relay_waiting ?? 0) === 0);
    await platform.end();
    if (brokers !== undefined) await assertInKafka(brokers, paying.ids);
    const verified = await runProgram(['verify', '--json'], env);
    assert.equal(verified.code, 0, verified.stdout);
  });
}

/** As an operator does who is told that something is out of reach, or far behind: the same command once more. */
async function repeated(command: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await command();
    } catch (cause) {
      if (!(cause instanceof UnavailableError) || attempt === ATTEMPTS) throw cause;
    }
  }
}

async function countOf(pool: Pool, type: string): Promise<number> {
  const [row] = await pool.query<{ n: number }>('SELECT count(*) AS n FROM events WHERE event_type = $1', [type]);
  return row!.n;
}

/** The end of every payment is on the topics, and all of them are in order. */
async function assertInKafka(brokers: readonly string[], payments: readonly string[]): Promise<void> {
  const approved = new Set<string>();
  for (const topic of [single, byFlow, byType].flatMap((topology) => [...eventTopics(topology)])) {
    const messages = await messagesOn(brokers, topic);
    for (const partition of Map.groupBy(messages, (message) => message.partition).values())
      assertInOrder(topic, partition);
    for (const { headers } of messages) if (headers.ce_type === 'payments.approved') approved.add(headers.ce_subject!);
  }
  assert.deepEqual(
    payments.filter((id) => !approved.has(id)),
    [],
  );
}

/**
 * An event of a partition comes after the one before it in its stream and in its chain, and after the one of its store that led
 * to it. What the relay sent again is left out, as by every reader.
 */
function assertInOrder(topic: string, messages: readonly SeenMessage[]): void {
  const stores = new Map(messages.map(({ headers }) => [headers.ce_id!, headers.ce_store!]));
  const seen = new Set<string>();
  const last = new Map<string, number>();
  for (const { headers, key, partition, offset } of messages) {
    const at = `${topic}/${partition} at ${offset}, key ${key}: ${headers.ce_type} ${headers.ce_id}`;
    if (seen.has(headers.ce_id!)) continue;
    seen.add(headers.ce_id!);
    for (const [name, position] of [
      [`chain ${headers.ce_store}/${headers.ce_chain}`, Number(headers.ce_chainposition)],
      [`stream ${headers.ce_aggregatetype} ${headers.ce_subject}`, Number(headers.ce_streamposition)],
    ] as const) {
      assert.ok(position > (last.get(name) ?? 0), `${at}: out of order in its ${name}`);
      last.set(name, position);
    }
    const cause = headers.ce_causationid;
    // Each store has a relay of its own: what follows may be on the topics that nobody reads yet before what it follows from.
    const isOwn = cause !== undefined && stores.get(cause) === headers.ce_store;
    assert.ok(!isOwn || seen.has(cause), `${at}: before what led to it`);
  }
}
