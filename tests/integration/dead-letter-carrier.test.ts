import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { createDeadLetterCarrier, type DeadLetterOutbox } from '#kernel/bus/dead-letters.ts';
import { createKafkaDeadLetters } from '#kernel/bus/kafka/dead-letter-topics.ts';
import { ensureTopics } from '#kernel/bus/kafka/topics.ts';
import { createDeadLetterOutbox } from '#kernel/bus/postgres/dead-letter-outbox.ts';
import { listDeadLetters, replayDeadLetters } from '#kernel/bus/postgres/error-log.ts';
import type { Topology } from '#kernel/bus/topology.ts';
import { createIdSource } from '#kernel/core/ids.ts';
import type { FailedMessage } from '#kernel/event-store/store.ts';
import { createLog } from '#kernel/observability/log.ts';
import { openWriter } from '../support/appending.ts';
import { openPostgres, type PostgresBackend } from '../support/backends.ts';
import { onEnd } from '../support/cleanup.ts';
import { openKafka, sharedKafka } from '../support/kafka.ts';
import { messagesOn } from '../support/kafka-topic.ts';

const ids = createIdSource();
const LOG = createLog('silent');
const DIED_AT = 1_793_000_000_000;

function failed(dlqTopic: string, key: string, fields: Partial<FailedMessage> = {}): FailedMessage {
  const id = ids.uuid();
  return {
    consumer: 'things',
    eventId: id,
    topic: 'things',
    partition: 1,
    key,
    dlqTopic,
    event: {
      id,
      type: 'thing.happened',
      version: 1,
      aggregateType: 'thing',
      aggregateId: id,
      streamPosition: 1,
      chain: 1,
      chainPosition: 7,
      time: DIED_AT - 5,
      data: { key },
      metadata: { correlationid: id, traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' },
    },
    attempts: 4,
    error: 'it cannot be',
    fingerprint: 'f',
    failedAt: DIED_AT,
    ...fields,
  };
}

interface Options {
  readonly brokers?: readonly string[];
  readonly active?: () => boolean;
  readonly outbox?: (real: DeadLetterOutbox) => DeadLetterOutbox;
  readonly maxBatch?: number;
}

/** A store, a topic of dead letters of its own, and what brings them there. */
async function open(t: TestContext) {
  const backend = await openPostgres(t);
  const writer = await openWriter(t, backend.store);
  const topic = `dlq.${randomUUID().slice(0, 8)}`;
  const topology: Topology = { name: 'toy', topics: [{ name: topic, partitions: 2 }], routes: new Map() };
  const die = (...letters: readonly FailedMessage[]) =>
    writer.commit({ appends: [], failures: { failed: letters, settled: [] } });
  const carrier = async ({ brokers, active = () => true, outbox = (real) => real, maxBatch = 10 }: Options = {}) => {
    const connection = { brokers: brokers ?? (await sharedKafka()).bootstrap, clientId: 'test' };
    const topics = createKafkaDeadLetters(
      connection,
      { compression: 'none', store: 'here', source: () => '/caudal/test', fetchBytes: 1_000_000 },
      {
        topology,
        makeTopics: () => ensureTopics(connection, topology.topics, { replication: 1, retentionMs: 3_600_000 }, LOG),
      },
    );
    const made = createDeadLetterCarrier(maxBatch, {
      outbox: outbox(createDeadLetterOutbox(backend.pool, [topic])),
      topics,
      isActive: active,
      log: LOG,
    });
    onEnd(t, () => made.stop());
    return made;
  };
  return { backend, topic, die, carrier };
}

async function rows({ pool }: PostgresBackend) {
  return (await listDeadLetters(pool, {}, { limit: 100 })).data;
}

test('dead letters leave once, in the order of their keys, and it is known where each is', async (t) => {
  const { backend, topic, die, carrier } = await open(t);
  const letters = Array.from({ length: 25 }, (_, i) => failed(topic, `key ${i % 3}`));
  for (const letter of letters) await die(letter);
  await die(failed(topic, 'key 0', { retryAt: DIED_AT + 2000, attempts: 1 }));
  const active = await carrier();
  await active.carry();
  await active.carry();
  const seen = await messagesOn((await sharedKafka()).bootstrap, topic);
  assert.equal(seen.length, letters.length, 'what is tried again is no dead letter yet');
  for (const key of ['key 0', 'key 1', 'key 2'])
    assert.deepEqual(
      seen.filter((message) => message.key === key).map(({ headers }) => headers.ce_id),
      letters.filter((letter) => letter.key === key).map(({ eventId }) => eventId),
    );
  for (const row of (await rows(backend)).filter(({ status }) => status === 'open')) {
    const { partition, offset } = seen.find(({ headers }) => headers.caudal_dlq_id === row.id)!;
    assert.deepEqual(row.kafka, { topic, partition, offset });
  }
});

test('they wait while Kafka is down, and leave once when it is back', async (t) => {
  const kafka = await openKafka(t);
  const { backend, topic, die, carrier } = await open(t);
  const running = await carrier({ brokers: kafka.bootstrap });
  await die(failed(topic, 'a'));
  await running.carry();
  const { id } = kafka.brokers[0]!;
  await kafka.stopBroker(id);
  await die(failed(topic, 'a'), failed(topic, 'b'));
  await running.carry();
  assert.deepEqual(
    (await rows(backend)).map(({ kafka: place }) => place !== null),
    [false, false, true],
  );
  await kafka.startBroker(id);
  await running.carry();
  await running.carry();
  const seen = await messagesOn(kafka.bootstrap, topic);
  assert.deepEqual(
    new Set(seen.map(({ headers }) => headers.caudal_dlq_id)),
    new Set((await rows(backend)).map((row) => row.id)),
  );
  assert.equal(seen.length, 3);
});

test('one that was sent and not noted is sent again, the same in everything, and is known by its id and count', async (t) => {
  const { topic, die, carrier } = await open(t);
  await die(failed(topic, 'a'));
  const crashing = await carrier({
    outbox: (real) => ({ ...real, note: () => Promise.reject(new Error('the process is no more')) }),
  });
  await assert.rejects(crashing.carry(), /no more/);
  await (await carrier()).carry();
  const [first, second, ...more] = await messagesOn((await sharedKafka()).bootstrap, topic);
  assert.deepEqual(more, []);
  assert.deepEqual({ ...second, offset: first!.offset }, first);
  assert.equal(first!.headers.caudal_dlq_count, '1');
});

test('only the process that has to carries them; what two sent is noted where it was first', async (t) => {
  const { backend, topic, die, carrier } = await open(t);
  await die(failed(topic, 'a'));
  const standby = await carrier({ active: () => false });
  await standby.carry();
  assert.equal((await rows(backend))[0]!.kafka, null);
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const slow = await carrier({
    outbox: (real) => ({
      ...real,
      note: async (letters, places) => {
        await held;
        await real.note(letters, places);
      },
    }),
  });
  const late = slow.carry();
  await (await carrier()).carry();
  const { kafka: place } = (await rows(backend))[0]!;
  release();
  await late;
  assert.notEqual(place, null);
  assert.deepEqual((await rows(backend))[0]!.kafka, place);
});

test('one that comes to the operators again leaves again, with the count of then', async (t) => {
  const { backend, topic, die, carrier } = await open(t);
  const letter = failed(topic, 'a');
  const running = await carrier();
  await die(letter);
  await running.carry();
  await replayDeadLetters(backend.pool, { limit: 1, operator: 'olga' });
  await die({ ...letter, attempts: 1, error: 'still not' });
  assert.equal((await rows(backend))[0]!.kafka, null, 'what stands there is out of date');
  await running.carry();
  const seen = await messagesOn((await sharedKafka()).bootstrap, topic);
  const { id, kafka: place } = (await rows(backend))[0]!;
  assert.deepEqual(
    seen.map(({ value, headers }) => [
      JSON.parse(String(value)).error,
      headers.caudal_dlq_id,
      headers.caudal_dlq_count,
    ]),
    [
      ['it cannot be', id, '1'],
      ['still not', id, '2'],
    ],
  );
  assert.deepEqual(place, { topic, partition: seen[1]!.partition, offset: 1 });
});

test('one that was replayed while it waited leaves as it was when it died', async (t) => {
  const { backend, topic, die, carrier } = await open(t);
  await die(failed(topic, 'a'));
  await replayDeadLetters(backend.pool, { limit: 1, operator: 'olga' });
  await (await carrier()).carry();
  const [message] = await messagesOn((await sharedKafka()).bootstrap, topic);
  const { attempts, error } = JSON.parse(String(message!.value));
  assert.deepEqual([attempts, error], [4, 'it cannot be']);
});

test('more than a broker takes at once leaves in parts', async (t) => {
  const { backend, topic, die, carrier } = await open(t);
  const large = Array.from({ length: 12 }, () => {
    const letter = failed(topic, 'a');
    return { ...letter, event: { ...letter.event, data: { text: randomUUID().repeat(10_000) } } };
  });
  await die(...large);
  await (await carrier({ maxBatch: 100 })).carry();
  assert.equal((await messagesOn((await sharedKafka()).bootstrap, topic)).length, large.length);
  assert.ok((await rows(backend)).every(({ kafka: place }) => place !== null));
});
