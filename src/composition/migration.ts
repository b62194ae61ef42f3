import { consumedPartitions } from '#kernel/bus/consumer.ts';
import type { KafkaConnection } from '#kernel/bus/kafka/client.ts';
import { hasPassedOnKafka, kafkaEntry } from '#kernel/bus/kafka/entry.ts';
import { deleteTopics } from '#kernel/bus/kafka/topics.ts';
import { type Comparison, saveComparison } from '#kernel/bus/postgres/comparisons.ts';
import { hasLiveMember } from '#kernel/bus/postgres/group-store.ts';
import { forgetLandings } from '#kernel/bus/postgres/landings.ts';
import { type Entry, hasPassed, logEntry, type Move, moveConsumer } from '#kernel/bus/postgres/moves.ts';
import { forgetTopics } from '#kernel/bus/postgres/topics.ts';
import {
  assertLeft,
  beginTarget,
  endTopology,
  readSeats,
  readTopologies,
  relayPosition,
  relayRuns,
  type StoreTopology,
} from '#kernel/bus/postgres/topologies.ts';
import { eventTopics, type Topology } from '#kernel/bus/topology.ts';
import { pause, type Scheduler } from '#kernel/core/clock.ts';
import { ConflictError, UnavailableError } from '#kernel/core/errors.ts';
import { distance, type LogPosition } from '#kernel/core/log-position.ts';
import { readHead } from '#kernel/event-store/postgres/read.ts';
import type { Pool } from '#kernel/postgres/pool.ts';
import { topologyOf } from '#src/topologies.ts';
import { compareTopologies } from './comparison.ts';
import { type ComparisonSummary, type MigrationStatus, readStatus, sumOf } from './migration-status.ts';

/** What a migration tells as it goes. */
type OnStep = (message: string) => void;

interface Ports {
  /** The databases of the services: one, or several with Kafka between them. */
  readonly pools: readonly Pool[];
  readonly clock: Scheduler;
  /** Silence after which a process counts as gone, milliseconds. */
  readonly leaseMs: number;
  /** Undefined: the log itself is the bus. */
  readonly kafka: KafkaConnection | undefined;
  /** The event types that a consumer reacts to. */
  types(consumer: string): readonly string[];
  /** Creates the topics that are missing. */
  makeTopics(topology: Topology): Promise<void>;
  readonly onStep: OnStep;
}

export interface Migration {
  status(): Promise<MigrationStatus>;
  /**
   * Has events written to both, compares what is there, and moves the consumers that are not there yet, one after another.
   * @throws ConflictError when that cannot be, or the topics differ: nothing is moved then; UnavailableError when a consumer
   * does not come to where it can be moved
   */
  forward(target: Topology): Promise<void>;
  /** Moves the consumers back, and ends the writing to the target. */
  back(): Promise<void>;
  /**
   * Compares once more, and ends the writing to the topology before, when all consumers have left it.
   * @throws ConflictError when some have not, or the topics differ
   */
  retire(): Promise<void>;
  /** Compares all that was not yet found to be the same. @returns undefined where there are no topics to compare */
  compare(): Promise<ComparisonSummary | undefined>;
  /** The differences that were found last are known: what comes later is compared. @throws ConflictError when there are none */
  accept(): Promise<void>;
  /** Deletes from Kafka the topics of events that no topology in force has. Those of dead letters stay. */
  deleteTopics(): Promise<void>;
}

const LOOK_MS = 200;
/** For a consumer, or the relay, to come to where it has to be. */
const PASS_LIMIT_MS = 120_000;
/** So many events of both topologies are worth comparing; where little happens, those of a few seconds. */
const GATHER_EVENTS = 1_000;
const GATHER_LIMIT_MS = 5_000;
const FORGOTTEN_AT_ONCE = 10_000;

/** A database that is on its way. */
interface StoreUnderWay {
  readonly pool: Pool;
  readonly target: StoreTopology;
}

interface UnderWay {
  readonly current: Topology;
  readonly target: Topology;
  readonly stores: readonly StoreUnderWay[];
}

/** From where on the events of each database are on both topologies. */
type Since = ReadonlyMap<Pool, LogPosition>;

export function createMigration(ports: Ports): Migration {
  const { pools, clock, kafka, onStep } = ports;
  const first = pools[0]!;

  const move = async (pool: Pool, consumer: string, from: Topology, to: Topology, since: Since): Promise<void> => {
    const on = (topology: Topology) => consumedPartitions(topology, ports.types(consumer));
    const step: Move = { consumer, from, to, on };
    const passedOf = ([store, position]: readonly [Pool, LogPosition]): Promise<boolean> =>
      kafka === undefined ? hasPassed(pool, step, position) : hasPassedOnKafka(pool, step, store, position);
    const passed = async (): Promise<boolean> => (await Promise.all([...since].map(passedOf))).every(Boolean);
    const begun = clock.now();
    // Who was just moved has a moment to join again.
    const isThere = async (): Promise<boolean> =>
      clock.now() - begun <= ports.leaseMs || hasLiveMember(pool, consumer, ports.leaseMs);
    while (!(await passed())) {
      if (clock.now() - begun > PASS_LIMIT_MS || !(await isThere()))
        throw new UnavailableError(
          `${consumer} has not handled yet what was there before: see that it runs, and repeat the command`,
        );
      await pause(clock, LOOK_MS);
    }
    const entry: Entry = kafka === undefined ? logEntry : kafkaEntry(pools);
    await moveConsumer(pool, step, entry);
    onStep(`${consumer} is on ${to.name}`);
  };

  const moveAll = async (from: Topology, to: Topology, since: Since): Promise<void> => {
    for (const pool of pools)
      for (const { consumer, topology } of await readSeats(pool))
        if (topology === from.name) await move(pool, consumer, from, to, since);
  };

  /** Of every database that is on its way: one that has arrived, when the end was interrupted, is not. */
  const underWay = async (): Promise<UnderWay> => {
    const stores: StoreUnderWay[] = [];
    for (const pool of pools) {
      const target = (await readTopologies(pool)).find(({ role }) => role === 'target');
      if (target !== undefined) stores.push({ pool, target });
    }
    const [store] = stores;
    const current = topologyOf((await readTopologies(store?.pool ?? first))[0]!);
    if (store === undefined) throw new ConflictError(`there is no migration: the store is on ${current.name}`);
    return { current, target: topologyOf(store.target), stores };
  };

  const compare = async (current: Topology, { pool, target }: StoreUnderWay): Promise<Comparison | undefined> => {
    if (kafka === undefined) return undefined;
    const begin = beginOf(target);
    const comparison = await compareTopologies(
      {
        pool,
        connection: kafka,
        before: current,
        after: topologyOf(target),
        now: () => clock.now(),
        onProgress: (events) => onStep(`${events} events compared; it goes on`),
      },
      begin,
      await relayPosition(pool),
    );
    await saveComparison(pool, comparison);
    return comparison;
  };

  /** Until all that is in the log now is on both, and some of what is new. */
  const gather = async ({ pool, target: { compared, since } }: StoreUnderWay): Promise<void> => {
    const head = await readHead(pool);
    const begun = clock.now();
    const isEnough = async (): Promise<boolean> => {
      const reached = await relayPosition(pool);
      if (distance(reached, head) > 0) return false;
      const isNew = compared === null && distance(since, reached) < GATHER_EVENTS;
      return !isNew || clock.now() - begun > GATHER_LIMIT_MS;
    };
    while (!(await isEnough())) {
      if (clock.now() - begun > PASS_LIMIT_MS)
        throw new UnavailableError(
          'the relay has not brought to Kafka what is in the log: see that processes run and what they log, and repeat the command',
        );
      await pause(clock, LOOK_MS);
    }
  };

  /** @throws ConflictError when the two are not the same */
  const agree = async (): Promise<void> => {
    const { current, target, stores } = await underWay();
    if (kafka === undefined) return onStep('nothing to compare: the log itself is the bus, and both read it');
    const all: Comparison[] = [];
    for (const store of stores) {
      await gather(store);
      all.push((await compare(current, store))!);
    }
    const found = sumOf(all);
    const both = `${current.name} and ${target.name}`;
    if (found.differences > 0)
      throw new ConflictError(
        `the topics of ${both} differ in ${found.differences} ${found.differences === 1 ? 'place' : 'places'}, ${describe(found)}: nothing was moved. See topology migrate; then repeat, or topology migrate --back`,
      );
    onStep(
      found.events === 0
        ? `nothing new has come to the topics of ${both}: nothing was compared`
        : `the topics of ${both} hold the same: ${found.events} events of ${found.keys} keys compared`,
    );
  };

  const assertDifferent = (current: StoreTopology, target: Topology): void => {
    if (current.topology === target.name) throw new ConflictError(`the store is on ${target.name} already`);
  };

  return {
    status: () => readStatus({ pools, relayed: kafka !== undefined, types: ports.types }),
    forward: async (target) => {
      assertDifferent((await readTopologies(first))[0]!, target);
      await ports.makeTopics(target);
      // Nobody moves before all write to both.
      for (const pool of pools) await beginTarget(pool, target.name, kafka !== undefined);
      const { current, stores } = await underWay();
      onStep(`every event goes to the topics of ${current.name} and of ${target.name}`);
      await agree();
      await moveAll(current, target, new Map(stores.map((store) => [store.pool, store.target.since])));
    },
    back: async () => {
      const { current, target, stores } = await underWay();
      await moveAll(target, current, new Map());
      for (const { pool } of stores) await endTopology(pool, 'target');
      onStep(`nothing is written to the topics of ${target.name} any more`);
    },
    retire: async () => {
      const { current, stores } = await underWay();
      for (const pool of pools) await assertLeft(pool, current.name);
      await agree();
      for (const { pool } of stores) await endTopology(pool, 'current');
      onStep(`nothing is written to the topics of ${current.name} any more`);
    },
    compare: async () => {
      const { current, stores } = await underWay();
      const found: Comparison[] = [];
      for (const store of stores) found.push(...[await compare(current, store)].filter((one) => one !== undefined));
      return found.length === 0 ? undefined : sumOf(found);
    },
    accept: async () => {
      const differing = (await underWay()).stores.filter(({ target }) => (target.compared?.differences ?? 0) > 0);
      if (differing.length === 0) throw new ConflictError('the last comparison found no difference');
      for (const { pool, target } of differing) await saveComparison(pool, { ...target.compared!, accepted: true });
    },
    deleteTopics: async () => {
      if (kafka === undefined) throw new ConflictError('there are no topics to delete: the log itself is the bus');
      const begun = clock.now();
      // The relay that was put out may be about to write: it would make the topics anew.
      const run = async (): Promise<boolean> =>
        (await Promise.all(pools.map((pool) => relayRuns(pool, ports.leaseMs)))).every(Boolean);
      while (!(await run()) && clock.now() - begun < ports.leaseMs) await pause(clock, LOOK_MS);
      const names = unusedTopics((await Promise.all(pools.map(readTopologies))).flat());
      const deleted = await deleteTopics(kafka, names);
      for (const pool of pools) {
        while ((await forgetLandings(pool, names, FORGOTTEN_AT_ONCE)) > 0);
        await forgetTopics(pool, names);
      }
      onStep(deleted.length === 0 ? 'there is no topic to delete' : `deleted: ${deleted.join(', ')}`);
    },
  };
}

/** What was found to be the same, or is known to differ, is not compared again. */
function beginOf({ since, compared }: StoreTopology) {
  if (compared === null) return { position: since, offsets: {} };
  return compared.differences === 0 || compared.accepted ? compared.end : compared.begin;
}

function describe({ examples: [first] }: ComparisonSummary): string {
  const { kind, topic, partition, key, before, after, events } = first!;
  return `first key ${key} on ${topic}/${partition} (${before} messages before, ${after} there; ${kind}: ${events.join(', ')})`;
}

/** The topics of events of topologies that the store has left, but for those that one in force has, for whatever. */
function unusedTopics(known: readonly StoreTopology[]): readonly string[] {
  const inForce = known.filter(({ role }) => role !== 'retired').flatMap((row) => topologyOf(row).topics);
  const used = new Set(inForce.map(({ name }) => name));
  const left = known.filter(({ role }) => role === 'retired').flatMap((row) => [...eventTopics(topologyOf(row))]);
  return [...new Set(left)].filter((name) => !used.has(name));
}
