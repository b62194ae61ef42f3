import { randomUUID } from 'node:crypto';
import { describe, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Consumer, createConsumer } from '#kernel/bus/consumer.ts';
import type { KafkaConnection } from '#kernel/bus/kafka/client.ts';
import { createKafkaConsumer } from '#kernel/bus/kafka/consumer.ts';
import { createKafkaDestination } from '#kernel/bus/kafka/destination.ts';
import { createSentBatches, type SentBatches } from '#kernel/bus/kafka/sent-batches.ts';
import { createTopicRegister } from '#kernel/bus/kafka/topic-register.ts';
import { ensureTopics } from '#kernel/bus/kafka/topics.ts';
import { readTags } from '#kernel/bus/postgres/topics.ts';
import { createRelay } from '#kernel/bus/relay.ts';
import { createTail } from '#kernel/bus/tail.ts';
import type { Topology } from '#kernel/bus/topology.ts';
import { systemClock } from '#kernel/core/clock.ts';
import { ConflictError, MembershipLostError } from '#kernel/core/errors.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { createLog, type LogLevel } from '#kernel/observability/log.ts';
import { append, newStream, openWriter, pending } from './appending.ts';
import { type Backend, openMemory, openPostgres, type PostgresBackend } from './backends.ts';
import { onEnd } from './cleanup.ts';
import { sharedKafka } from './kafka.ts';
import { until } from './until.ts';

const LOG = createLog((process.env.TEST_LOG as LogLevel | undefined) ?? 'silent');
const LEASE_MS = 10_000;
const STORE = 'test';
/** Of what was sent so few are kept that some events are taken from there, and others are decoded. */
const FEW = 8;
const HEARTBEAT_MS = 50;

/** What consumers of one kind of bus are tried on. */
export interface BusUnderTest {
  readonly backend: Backend;
  readonly topology: Topology;
  /** Appends events of the keys, each with the next number of its key. */
  publish(...keys: string[]): Promise<void>;
  /** The same of a type that nobody consumes. */
  publishForeign(...keys: string[]): Promise<void>;
  /** Starts another member of the consumer group. */
  member(options?: MemberOptions): Promise<Member>;
  /** Has all members put out, as if they had been silent for too long. */
  putOutAll(): Promise<void>;
  /** What all members have handled, in the order of their commits. */
  readonly handled: readonly RecordedEvent[];
}

interface MemberOptions {
  readonly maxInbox?: number;
  /** Of another consumer than the one that the others are members of, with the list that takes what it has handled. */
  readonly other?: { readonly name: string; readonly handled: RecordedEvent[] };
}

/** The bus that is Kafka, and what is behind it. */
export interface KafkaBusUnderTest extends BusUnderTest {
  readonly brokers: readonly string[];
  readonly backend: PostgresBackend;
  /** Has the relay put out, as if it had been silent for too long: what it has sent and not noted is sent again. */
  putOutRelay(): Promise<void>;
}

/** A process that handles messages: its effect and its position take effect together or not at all. */
export interface Member {
  readonly consumer: Consumer;
  /** Called between what is taken and what is committed. */
  beforeCommit: () => Promise<void>;
  /** How often it was told that it is no member any more. */
  readonly expelled: () => number;
  stop(): Promise<void>;
}

const TYPE = 'thing.happened';
const FOREIGN = 'thing.ignored';

function topologyOf(): Topology {
  const name = `things.${randomUUID().slice(0, 8)}`;
  const key = { name: 'key', of: (event: RecordedEvent): string => event.data.key };
  return {
    name: 'things',
    topics: [{ name, partitions: 4 }],
    routes: new Map([TYPE, FOREIGN].map((type) => [type, [{ topic: name, key }]])),
  };
}

type OpenConsumer = (name: string, topology: Topology, member: string, maxInbox: number) => Consumer;

async function openBus(
  t: TestContext,
  backend: Backend,
  topology: Topology,
  open: OpenConsumer,
): Promise<BusUnderTest> {
  const writer = await openWriter(t, backend.store, 'publisher');
  const numbers = new Map<string, number>();
  const handled: RecordedEvent[] = [];
  const publish = async (type: string, keys: readonly string[]): Promise<void> => {
    const events = keys.map((key) => {
      const n = (numbers.get(key) ?? 0) + (type === TYPE ? 1 : 0);
      numbers.set(key, n);
      return pending({ key, n }, type);
    });
    await writer.commit({ appends: events.map((event) => append(newStream(), 0, event)) });
  };
  return {
    backend,
    topology,
    handled,
    publish: (...keys) => publish(TYPE, keys),
    // One whose own heartbeat holds its row at this moment is passed over.
    putOutAll: () =>
      until('they are put out', async () => {
        backend.clock.advance(1);
        await sleep(1);
        return (await backend.groups.heartbeat('things', 'judge', 0)).putOut.length > 0;
      }),
    publishForeign: (...keys) => publish(FOREIGN, keys),
    member: async ({ maxInbox = 1000, other = { name: 'things', handled } } = {}) => {
      const consumer = open(other.name, topology, randomUUID().slice(0, 8), maxInbox);
      const member = await startMember(t, backend, consumer, other.handled);
      onEnd(t, () => member.stop());
      return member;
    },
  };
}

async function startMember(
  t: TestContext,
  backend: Backend,
  consumer: Consumer,
  handled: RecordedEvent[],
): Promise<Member> {
  const writer = await openWriter(t, backend.store, randomUUID());
  let stopping = false;
  let expelled = 0;
  const step = async (): Promise<boolean> => {
    if (consumer.needsCare) await consumer.maintain();
    const taken = consumer.take(7);
    if (taken === undefined) return false;
    await member.beforeCommit();
    await writer.commit({ appends: [], progress: taken.progress });
    consumer.confirm(taken.progress);
    handled.push(...taken.events);
    return true;
  };
  const run = async (): Promise<void> => {
    while (!stopping) {
      try {
        if (!(await step())) await sleep(5);
      } catch (cause) {
        if (!(cause instanceof ConflictError || cause instanceof MembershipLostError)) throw cause;
        expelled += 1;
        await consumer.rewind(true);
      }
    }
  };
  const member: { -readonly [Name in keyof Member]: Member[Name] } = {
    consumer,
    beforeCommit: async () => undefined,
    expelled: () => expelled,
    stop: async () => {
      if (stopping) return;
      stopping = true;
      clearInterval(beats);
      await running;
      await consumer.stop();
    },
  };
  await consumer.start();
  const beats = setInterval(() => consumer.heartbeat().catch(() => undefined), HEARTBEAT_MS);
  const running = run();
  return member;
}

/** The log itself as the bus. */
async function openLogBus(t: TestContext, backend: Backend): Promise<BusUnderTest> {
  const tail = createTail();
  tail.alone = false;
  const polls = setInterval(() => tail.wake(), 20);
  onEnd(t, () => clearInterval(polls));
  return openBus(t, backend, topologyOf(), (name, topology, member, maxInbox) => {
    const settings = { name, member, types: [TYPE], maxInbox, fetchSize: 20, leaseMs: LEASE_MS };
    return createConsumer(settings, { store: backend.store, groups: backend.groups, tail, topologies: [topology] });
  });
}

/** PostgreSQL for the store and the positions, and a relay to a real Kafka. */
export async function openKafkaBus(t: TestContext): Promise<KafkaBusUnderTest> {
  const backend = await openPostgres(t);
  const { bootstrap } = await sharedKafka();
  const topology = topologyOf();
  const connection: KafkaConnection = { brokers: bootstrap, clientId: `test-${randomUUID().slice(0, 8)}` };
  const makeTopics = () => ensureTopics(connection, topology.topics, { replication: 1, retentionMs: 3_600_000 }, LOG);
  const sent = createSentBatches(FEW);
  await startRelay(t, backend, topology, connection, makeTopics, sent);
  const bus = await openBus(t, backend, topology, (name, _, member, maxInbox) =>
    createKafkaConsumer(
      {
        name,
        member,
        types: [TYPE],
        maxPoll: 500,
        maxInbox,
        leaseMs: LEASE_MS,
        sessionTimeoutMs: 6_000,
        kafkaHeartbeatMs: 500,
        commitMs: 100,
        fetchWaitMs: 50,
        fetchBytes: 1_000_000,
        partitionBytes: 4_000,
      },
      {
        connection: { ...connection, clientId: `caudal-${member}` },
        groups: backend.groups,
        topologies: [topology],
        clock: systemClock,
        log: LOG,
        sent,
        makeTopics,
        notedTags: () => readTags(backend.pool),
      },
    ),
  );
  const putOutRelay = async (): Promise<void> => {
    await sleep(1);
    await backend.groups.heartbeat('relay', 'judge', 0);
  };
  return { ...bus, backend, brokers: bootstrap, putOutRelay };
}

async function startRelay(
  t: TestContext,
  backend: PostgresBackend,
  topology: Topology,
  connection: KafkaConnection,
  makeTopics: () => Promise<void>,
  sent: SentBatches,
): Promise<void> {
  const tail = createTail();
  tail.alone = false;
  const polls = setInterval(() => tail.wake(), 10);
  onEnd(t, () => clearInterval(polls));
  const types = [...topology.routes.keys()];
  const settings = { name: 'relay', member: randomUUID(), types, exclusive: true, maxInbox: 1000, fetchSize: 100 };
  const relay = createRelay(
    { maxBatch: 200, heartbeatMs: HEARTBEAT_MS },
    {
      store: backend.store,
      consumer: createConsumer(
        { ...settings, leaseMs: LEASE_MS },
        { store: backend.store, groups: backend.groups, tail, topologies: [topology] },
      ),
      destination: createKafkaDestination(
        connection,
        { compression: 'snappy', store: STORE, source: () => '/caudal/test' },
        { makeTopics, sent },
      ),
      register: createTopicRegister(backend.pool),
      topologies: async () => [topology],
      clock: systemClock,
      log: LOG,
    },
  );
  await relay.start();
  onEnd(t, () => relay.stop());
}

/** Declares the tests of `body` once for each kind of bus: what they show must hold for all. */
export function describeBuses(name: string, body: (open: (t: TestContext) => Promise<BusUnderTest>) => void): void {
  describe(`${name}: the log in memory`, () => body((t) => openLogBus(t, openMemory())));
  describe(`${name}: the log in PostgreSQL`, () => body(async (t) => openLogBus(t, await openPostgres(t))));
  describe(`${name}: Kafka`, () => body(openKafkaBus));
}
