import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { createConsumer } from '#kernel/bus/consumer.ts';
import { createTopicRegister } from '#kernel/bus/kafka/topic-register.ts';
import { findInKafka, findInLog } from '#kernel/bus/postgres/landings.ts';
import { type Arrival, createRelay, type Departure, type Destination } from '#kernel/bus/relay.ts';
import { createTail } from '#kernel/bus/tail.ts';
import { placeOf, type Topology } from '#kernel/bus/topology.ts';
import { systemClock } from '#kernel/core/clock.ts';
import { UnavailableError } from '#kernel/core/errors.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { createLog } from '#kernel/observability/log.ts';
import { append, newStream, openWriter, pending } from '../support/appending.ts';
import { openPostgres, type PostgresBackend } from '../support/backends.ts';
import { onEnd } from '../support/cleanup.ts';
import { until } from '../support/until.ts';

const KEYS = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
const LEASE_MS = 400;

const TOPOLOGY: Topology = {
  name: 'toy',
  topics: [{ name: 'things', partitions: 3 }],
  routes: new Map([['thing', [{ topic: 'things', key: { name: 'key', of: (event) => event.data.key } }]]]),
};

/** What stands in each partition, as brokers would have it. */
class Partitions {
  readonly written = new Map<string, Departure[]>();
  /** Called before each send: what it throws is thrown, after so many of the events were written all the same. */
  fault: () => number | undefined = () => undefined;

  readonly destination: Destination = {
    send: async (departures) => {
      const before = this.fault();
      const arrivals = new Map<string, Arrival & { readonly events: RecordedEvent[] }>();
      for (const departure of departures.slice(0, before)) {
        const name = `${departure.place.topic}/${departure.place.partition}`;
        const partition = this.written.get(name) ?? [];
        this.written.set(name, partition);
        const { event, place } = departure;
        const arrival = arrivals.get(name) ?? { ...place, offset: partition.length, events: [] };
        arrivals.set(name, arrival);
        arrival.events.push(event);
        partition.push(departure);
      }
      if (before !== undefined) throw new UnavailableError('the brokers have gone');
      return [...arrivals.values()];
    },
    prepare: () => undefined,
    look: async () => new Map([['things', 1]]),
    close: async () => undefined,
  };

  /** Each event where it stands first. */
  firsts(): readonly RecordedEvent[] {
    return [...this.written.values()].flatMap((partition) => {
      const seen = new Set<string>();
      return partition.filter(({ event }) => !seen.has(event.id) && seen.add(event.id)).map(({ event }) => event);
    });
  }

  get count(): number {
    return [...this.written.values()].reduce((sum, partition) => sum + partition.length, 0);
  }
}

async function startRelay(t: TestContext, backend: PostgresBackend, to: Destination, options = { silent: false }) {
  const { store, groups } = backend;
  const tail = createTail();
  tail.alone = false;
  const polls = setInterval(() => tail.wake(), 10);
  onEnd(t, () => clearInterval(polls));
  const settings = {
    name: 'relay',
    member: randomUUID(),
    types: ['thing'],
    exclusive: true,
    maxInbox: 100,
    fetchSize: 20,
    leaseMs: LEASE_MS,
  };
  const relay = createRelay(
    { maxBatch: 10, heartbeatMs: 50 },
    {
      store,
      consumer: createConsumer(settings, { store, groups, tail, topologies: [TOPOLOGY] }),
      destination: to,
      register: createTopicRegister(backend.pool),
      topologies: async () => [TOPOLOGY],
      // One that is silent is dead to the others.
      clock: options.silent ? { ...systemClock, every: () => () => undefined } : systemClock,
      log: createLog('silent'),
    },
  );
  await relay.start();
  onEnd(t, () => relay.stop());
  return relay;
}

async function openPublisher(t: TestContext, backend: PostgresBackend) {
  const writer = await openWriter(t, backend.store, randomUUID());
  let n = 0;
  return async (rounds: number): Promise<void> => {
    for (let i = 0; i < rounds; i++) {
      n += 1;
      const events = KEYS.flatMap((key) => [pending({ key, n }, 'thing'), pending({ key }, 'thing.internal')]);
      await writer.commit({ appends: events.map((event) => append(newStream(), 0, event)) });
    }
  };
}

/** Every event of the topic is there, in the order of its key, where its key belongs. */
function checkComplete(partitions: Partitions, rounds: number): void {
  const firsts = partitions.firsts();
  for (const key of KEYS) {
    const numbers = firsts.filter(({ data }) => data.key === key).map(({ data }) => data.n);
    assert.deepEqual(
      numbers,
      Array.from({ length: rounds }, (_, i) => i + 1),
      key,
    );
  }
  for (const [name, written] of partitions.written)
    for (const { event } of written) {
      const { topic, partition } = placeOf(TOPOLOGY, event)!;
      assert.equal(`${topic}/${partition}`, name);
    }
}

/** How many events are noted to have landed. */
async function noted({ pool }: PostgresBackend): Promise<number> {
  const [row] = await pool.query<{ n: number }>(
    "SELECT count(*) AS n FROM event_landings, jsonb_array_elements(positions) AS p WHERE p <> 'null'",
  );
  return Number(row!.n);
}

test('the relay carries every event once, in order, and notes where each has landed', async (t) => {
  const backend = await openPostgres(t);
  const partitions = new Partitions();
  const publish = await openPublisher(t, backend);
  await publish(5);
  await startRelay(t, backend, partitions.destination);
  await publish(5);
  await until('all have arrived', () => partitions.count >= 10 * KEYS.length);
  checkComplete(partitions, 10);
  assert.equal(partitions.count, 10 * KEYS.length, 'none came twice');
  await until('all are noted', async () => (await noted(backend)) >= 10 * KEYS.length);
  for (const [name, written] of partitions.written) {
    const [topic, partition] = name.split('/') as [string, string];
    for (const [offset, { event }] of written.entries()) {
      const { chain, chainPosition: position } = event;
      const [found] = await findInKafka(backend.pool, { chain, position });
      assert.deepEqual([found?.topic, found?.partition, found?.offset], [topic, Number(partition), offset]);
      assert.deepEqual(await findInLog(backend.pool, { topic, partition: Number(partition), offset }), {
        chain,
        position,
      });
    }
  }
});

test('the relay that stops in good order sends nothing twice when it goes on', async (t) => {
  const backend = await openPostgres(t);
  const partitions = new Partitions();
  const publish = await openPublisher(t, backend);
  for (let round = 1; round <= 3; round++) {
    const relay = await startRelay(t, backend, partitions.destination);
    await publish(3);
    await until(
      'all have arrived',
      async () => (await relay.lag()) === 0 && partitions.count >= round * 3 * KEYS.length,
    );
    await relay.stop();
  }
  checkComplete(partitions, 9);
  assert.equal(partitions.count, 9 * KEYS.length);
});

test('brokers that fail in the middle of it lose nothing and change no order', async (t) => {
  const backend = await openPostgres(t);
  const partitions = new Partitions();
  const publish = await openPublisher(t, backend);
  let sends = 0;
  partitions.fault = () => {
    sends += 1;
    return sends <= 6 && sends % 2 === 0 ? sends : undefined;
  };
  const relay = await startRelay(t, backend, partitions.destination);
  await publish(12);
  await until('it says what is wrong', () => relay.trouble === 'the brokers have gone');
  await until('all have arrived', () => partitions.firsts().length === 12 * KEYS.length);
  checkComplete(partitions, 12);
  await until('nothing is wrong any more', () => relay.trouble === undefined);
});

test('one batch is sent while that before it is noted; when it cannot be noted, both are sent again', async (t) => {
  const backend = await openPostgres(t);
  const { pool } = backend;
  const partitions = new Partitions();
  const publish = await openPublisher(t, backend);
  await publish(12);
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const holding = pool.transaction(async (sql) => {
    await sql.query('LOCK TABLE event_landings IN ACCESS EXCLUSIVE MODE');
    await startRelay(t, backend, partitions.destination);
    await held;
  });
  onEnd(t, release);
  await until('two batches are written', () => partitions.count >= 20);
  const waiting = async (): Promise<number | undefined> => {
    const rows = await pool.query<{ pid: number }>(
      'SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0',
    );
    return rows[0]?.pid;
  };
  await until('the first waits to be noted', async () => (await waiting()) !== undefined);
  assert.equal(partitions.count, 20);
  await pool.query('SELECT pg_terminate_backend($1)', [await waiting()]);
  await until('both are sent again', () => partitions.count >= 40);
  release();
  await holding;
  await until('all are noted', async () => (await noted(backend)) >= 12 * KEYS.length);
  checkComplete(partitions, 12);
  assert.equal(await noted(backend), 12 * KEYS.length);
});

test('when the active one dies another takes over within its lease, and what the first did late is not noted', async (t) => {
  const backend = await openPostgres(t);
  const partitions = new Partitions();
  const publish = await openPublisher(t, backend);
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let holds = false;
  const slow: Destination = {
    ...partitions.destination,
    send: async (departures) => {
      holds = true;
      await held;
      return partitions.destination.send(departures);
    },
  };
  await startRelay(t, backend, slow, { silent: true });
  await publish(2);
  await until('the first is sending', () => holds);
  const since = performance.now();
  await startRelay(t, backend, partitions.destination);
  await until('all have arrived by the second', () => partitions.firsts().length === 2 * KEYS.length);
  t.diagnostic(`taken over after ${Math.round(performance.now() - since)} ms with a lease of ${LEASE_MS} ms`);
  release();
  await publish(2);
  await until('all have arrived', () => partitions.firsts().length === 4 * KEYS.length);
  checkComplete(partitions, 4);
  assert.ok(partitions.count > 4 * KEYS.length, 'the first did write late');
  await until('all are noted', async () => (await noted(backend)) >= 4 * KEYS.length);
  assert.equal(await noted(backend), 4 * KEYS.length);
});
