import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { createServer } from 'node:tls';
import type { KafkaConnection } from '#kernel/bus/kafka/client.ts';
import { createKafkaDestination } from '#kernel/bus/kafka/destination.ts';
import { createSentBatches } from '#kernel/bus/kafka/sent-batches.ts';
import { ensureTopics } from '#kernel/bus/kafka/topics.ts';
import { ConflictError, UnavailableError } from '#kernel/core/errors.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { createIdSource } from '#kernel/core/ids.ts';
import { createLog } from '#kernel/observability/log.ts';
import { openKafka, sharedKafka } from '../support/kafka.ts';

const ids = createIdSource();
const LOG = createLog('silent');
const TOPICS = { replication: 1, retentionMs: 3_600_000 };

function eventAt(chainPosition: number, data: object): RecordedEvent {
  const id = ids.uuid();
  return {
    id,
    type: 'thing.happened',
    version: 1,
    aggregateType: 'thing',
    aggregateId: id,
    streamPosition: 1,
    chain: 1,
    chainPosition,
    time: Date.now(),
    data,
    metadata: { correlationid: id, traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' },
  };
}

function destinationOf(connection: KafkaConnection, topic: string) {
  const destination = createKafkaDestination(
    connection,
    { compression: 'none', store: 'test', source: () => '/caudal/test' },
    { makeTopics: (topics) => ensureTopics(connection, topics, TOPICS, LOG), sent: createSentBatches(1) },
  );
  destination.prepare([{ name: topic, partitions: 2 }]);
  return destination;
}

test('what is too much for a broker at once arrives in parts, in order, and it is known where', async () => {
  const { bootstrap } = await sharedKafka();
  const topic = `things.${randomUUID()}`;
  const destination = destinationOf({ brokers: bootstrap, clientId: 'test' }, topic);
  // No compression makes it smaller: 6 MB for one partition, little for the other.
  const events = Array.from({ length: 3_000 }, (_, i) =>
    eventAt(i + 1, { text: 'x'.repeat(i % 3 === 0 ? 10 : 3_000) }),
  );
  const departures = events.map((event, i) => ({ event, place: { topic, partition: i % 3 === 0 ? 1 : 0, key: 'k' } }));
  await destination.look();
  const arrivals = await destination.send(departures);
  await destination.close();
  for (const partition of [0, 1]) {
    const own = arrivals.filter((arrival) => arrival.partition === partition);
    let next = 0;
    for (const { offset, events: together } of own) {
      assert.equal(offset, next);
      next += together.length;
    }
    assert.deepEqual(
      own.flatMap((arrival) => arrival.events),
      departures.filter(({ place }) => place.partition === partition).map(({ event }) => event),
    );
  }
  assert.ok(arrivals.length > 2, 'in parts');
});

test('a topic with another number of partitions is refused, and says what it must have', async () => {
  const { bootstrap } = await sharedKafka();
  const connection = { brokers: bootstrap, clientId: 'test' };
  const name = `things.${randomUUID()}`;
  await ensureTopics(connection, [{ name, partitions: 2 }], TOPICS, LOG);
  await ensureTopics(connection, [{ name, partitions: 2 }], TOPICS, LOG);
  await assert.rejects(ensureTopics(connection, [{ name, partitions: 3 }], TOPICS, LOG), (error: Error) => {
    assert.ok(error instanceof ConflictError);
    assert.match(error.message, new RegExp(`topic ${name} has 2 partitions in Kafka and 3 in the topology`));
    return true;
  });
});

test('a destination that was closed opens no connection any more, which would keep the process alive', async () => {
  const { bootstrap } = await sharedKafka();
  const topic = `things.${randomUUID()}`;
  const destination = destinationOf({ brokers: bootstrap, clientId: 'test' }, topic);
  await destination.look();
  await destination.close();
  const departures = [{ event: eventAt(1, {}), place: { topic, partition: 0, key: 'k' } }];
  for (const ask of [() => destination.look(), () => destination.send(departures)])
    await assert.rejects(ask, (error: Error) => {
      assert.ok(error instanceof UnavailableError);
      assert.match(error.message, /has ended its connections to Kafka/);
      return true;
    });
});

test('brokers that are not there are named, with the setting to look at', async () => {
  const destination = destinationOf({ brokers: ['127.0.0.1:1'], clientId: 'test' }, 'things');
  await assert.rejects(destination.look(), (error: Error) => {
    assert.ok(error instanceof UnavailableError);
    assert.match(error.message, /Kafka is out of reach at 127\.0\.0\.1:1 .*see KAFKA_BROKERS/);
    return true;
  });
  await destination.close();
});

test('brokers that want a login say so, and a right one is let in', async (t) => {
  const sasl = { username: 'caudal', password: 'secret' };
  const { bootstrap: brokers } = await openKafka(t, { sasl });
  const topic = `things.${randomUUID()}`;
  const send = async (connection: Partial<KafkaConnection>) => {
    const destination = destinationOf({ brokers, clientId: 'test', ...connection }, topic);
    const departures = [{ event: eventAt(1, {}), place: { topic, partition: 0, key: 'k' } }];
    return destination
      .look()
      .then(() => destination.send(departures))
      .finally(() => destination.close());
  };
  await assert.rejects(
    send({ sasl: { mechanism: 'PLAIN', ...sasl, password: 'wrong' } }),
    /refuses the credentials; see KAFKA_SASL/,
  );
  await assert.rejects(send({}), /KAFKA_SASL_MECHANISM/);
  assert.equal((await send({ sasl: { mechanism: 'PLAIN', ...sasl } })).length, 1);
});

test('brokers that are named hear over TLS by which name they are meant', async (t) => {
  const names: string[] = [];
  const server = createServer({
    SNICallback: (name, done) => {
      names.push(name);
      done(new Error('that is all'));
    },
  });
  server.listen(0, 'localhost');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const destination = destinationOf({ brokers: [`localhost:${port}`], clientId: 'test', tls: {} }, 'things');
  await assert.rejects(destination.look(), UnavailableError);
  await destination.close();
  assert.deepEqual(new Set(names), new Set(['localhost']));
});
