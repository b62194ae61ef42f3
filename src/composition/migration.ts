import { consumedPartitions } from '#kernel/bus/consumer.ts';
import type { KafkaConnection } from '#kernel/bus/kafka/client.ts';
import { hasPassedOnKafka, kafkaEntry } from '#kernel/bus/kafka/entry.ts';
import { hasLiveMember } from '#kernel/bus/postgres/group-store.ts';
import { type Entry, hasPassed, logEntry, type Move, moveConsumer } from '#kernel/bus/postgres/moves.ts';
import {
  beginTarget,
  type ConsumerSeat,
  endTopology,
  readSeats,
  readTopologies,
} from '#kernel/bus/postgres/topologies.ts';
import type { Topology } from '#kernel/bus/topology.ts';
import { pause, type Scheduler } from '#kernel/core/clock.ts';
import { ConflictError, UnavailableError } from '#kernel/core/errors.ts';
import type { LogPosition } from '#kernel/core/log-position.ts';
import type { Pool } from '#kernel/postgres/pool.ts';
import { topologyOf } from '#src/topologies.ts';

/** How far a store is on its way from one topology to another. All of it is read from the store: a migration goes on where it was left. */
export interface MigrationStatus {
  readonly current: string;
  /** The topology that also gets every event; undefined when there is no migration. */
  readonly target: string | undefined;
  readonly since: LogPosition;
  readonly consumers: readonly ConsumerSeat[];
}

/** What a migration tells as it goes. */
export type OnStep = (message: string) => void;

interface Ports {
  readonly pool: Pool;
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
   * Has events written to both, and moves the consumers that are not there yet, one after another.
   * @throws ConflictError when that cannot be; UnavailableError when a consumer does not come to where it can be moved
   */
  forward(target: Topology): Promise<void>;
  /** Moves the consumers back, and ends the writing to the target. */
  back(): Promise<void>;
  /** Ends the writing to the topology before, when all consumers have left it. */
  retire(): Promise<void>;
}

const LOOK_MS = 200;
/** For a consumer to handle what was there before both topologies were written. */
const PASS_LIMIT_MS = 120_000;

export function createMigration(ports: Ports): Migration {
  const { pool, clock, kafka, onStep } = ports;

  const status = async (): Promise<MigrationStatus> => {
    const known = await readTopologies(pool);
    const target = known.find(({ role }) => role === 'target');
    return {
      current: known[0]!.topology,
      target: target?.topology,
      since: target?.since ?? {},
      consumers: await readSeats(pool),
    };
  };

  const move = async (consumer: string, from: Topology, to: Topology, since: LogPosition): Promise<void> => {
    const on = (topology: Topology) => consumedPartitions(topology, ports.types(consumer));
    const step: Move = { consumer, from, to, on };
    const passed = (): Promise<boolean> =>
      kafka === undefined ? hasPassed(pool, step, since) : hasPassedOnKafka(pool, step, since);
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
    const entry: Entry = kafka === undefined ? logEntry : kafkaEntry;
    await moveConsumer(pool, step, entry);
    onStep(`${consumer} is on ${to.name}`);
  };

  const moveAll = async (from: Topology, to: Topology, since: LogPosition): Promise<void> => {
    for (const { consumer, topology } of await readSeats(pool))
      if (topology === from.name) await move(consumer, from, to, since);
  };

  const underWay = async (): Promise<MigrationStatus & { readonly target: string }> => {
    const found = await status();
    if (found.target === undefined) throw new ConflictError(`there is no migration: the store is on ${found.current}`);
    return { ...found, target: found.target };
  };

  return {
    status,
    forward: async (target) => {
      const { current } = await status();
      if (current === target.name) throw new ConflictError(`the store is on ${current} already`);
      await ports.makeTopics(target);
      await beginTarget(pool, target.name, kafka !== undefined);
      onStep(`every event goes to the topics of ${current} and of ${target.name}`);
      const { since } = await status();
      await moveAll(topologyOf({ topology: current }), target, since);
    },
    back: async () => {
      const { current, target } = await underWay();
      await moveAll(topologyOf({ topology: target }), topologyOf({ topology: current }), {});
      await endTopology(pool, 'target');
      onStep(`nothing is written to the topics of ${target} any more`);
    },
    retire: async () => {
      const { current } = await underWay();
      await endTopology(pool, 'current');
      onStep(`nothing is written to the topics of ${current} any more`);
    },
  };
}
