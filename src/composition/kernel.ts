import { type Consumer, type ConsumerSettings, createConsumer } from '#kernel/bus/consumer.ts';
import { createDeadLetterCarrier, type DeadLetterTopics } from '#kernel/bus/dead-letters.ts';
import type { GroupStore } from '#kernel/bus/group.ts';
import { consumeNothing } from '#kernel/bus/no-messages.ts';
import { createPostgresFailureStore } from '#kernel/bus/postgres/failure-store.ts';
import { createPostgresGroupStore } from '#kernel/bus/postgres/group-store.ts';
import { writtenTopologies } from '#kernel/bus/postgres/topologies.ts';
import { createWakeCall, type WakeCall } from '#kernel/bus/postgres/wake.ts';
import { createPresence, type Presence } from '#kernel/bus/presence.ts';
import { createRelay, type Relay } from '#kernel/bus/relay.ts';
import { createTail, type Tail } from '#kernel/bus/tail.ts';
import type { Topology } from '#kernel/bus/topology.ts';
import type { Scheduler } from '#kernel/core/clock.ts';
import type { EventDefinition, RecordedEvent } from '#kernel/core/event.ts';
import { createIdSource, type IdSource } from '#kernel/core/ids.ts';
import type { Turns } from '#kernel/core/turns.ts';
import { createPostgresStore } from '#kernel/event-store/postgres/store.ts';
import type { Store } from '#kernel/event-store/store.ts';
import type { Log } from '#kernel/observability/log.ts';
import { othersMayWrite, sessionName } from '#kernel/postgres/sessions.ts';
import { createPostgresTurns } from '#kernel/postgres/turns.ts';
import type { ProcessorObserver } from '#kernel/processor/commits.ts';
import type { FailureStore } from '#kernel/processor/failures.ts';
import { createProcessor, type Processor, type ProcessorPorts } from '#kernel/processor/processor.ts';
import type { ServiceDefinition } from '#kernel/processor/service.ts';
import { createFollower, type Follower } from '#kernel/projections/follower.ts';
import { createWorkList, type WorkList } from '#services/gateway/queries.ts';
import { type DueReservation, dueReservations } from '#services/inventory/queries.ts';
import { dueSagas } from '#services/payments/queries.ts';
import { duePurchases } from '#services/purchases/queries.ts';
import type { Config } from '#src/config.ts';
import { topologyOf } from '#src/topologies.ts';
import type { Bus, StoreSide } from './bus.ts';
import type { Database } from './database.ts';
import { createJob } from './jobs.ts';
import { connectionOf } from './kafka-settings.ts';
import type { Topologies } from './topology.ts';

/** Where a process keeps things and where its time and chance come from: PostgreSQL and the machine, or a simulation. */
export interface Backend {
  readonly store: Store;
  /** Every topology, the store's current one first. */
  readonly topologies: Topologies;
  /** Those whose topics get every event at this moment. */
  writtenTopologies(): Promise<readonly Topology[]>;
  readonly groups: GroupStore;
  readonly failures: FailureStore;
  readonly turns: Turns;
  /** See `Presence`. */
  othersMayWrite(): Promise<boolean>;
  /** Tells the other processes that the log has grown. @param onWake called when one of them tells us */
  wakeCall(onWake: () => void): WakeCall;
  /** Where events travel between services; undefined: in the log itself. */
  readonly bus: Bus | undefined;
  readonly workList: WorkList;
  /** See `dueSagas` of the payments service. */
  dueSagas(now: number, limit: number): Promise<readonly string[]>;
  /** See `duePurchases` of the purchases service. */
  duePurchases(now: number, limit: number): Promise<readonly string[]>;
  /** See `dueReservations` of the inventory service. */
  dueReservations(now: number, limit: number): Promise<readonly DueReservation[]>;
  readonly clock: Scheduler;
  readonly ids: IdSource;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
}

/**
 * The backend on a PostgreSQL database, with Kafka as the bus where the settings name its brokers.
 * @param source the CloudEvents source of an event type
 */
export async function createPostgresBackend(
  config: Config,
  { url, pool, clock, storeId, topologies }: Database,
  source: (type: string) => string,
  log: Log,
): Promise<Backend> {
  const { instance, resolveTimeoutMs } = config;
  return {
    store: createPostgresStore({ url, instance, resolveTimeoutMs }, pool, clock),
    topologies,
    writtenTopologies: async () => (await writtenTopologies(pool)).map((topology) => topologyOf({ topology })),
    groups: createPostgresGroupStore(pool),
    failures: createPostgresFailureStore(pool),
    turns: createPostgresTurns(pool),
    othersMayWrite: () => othersMayWrite(pool, instance),
    wakeCall: (onWake) => createWakeCall(url, sessionName('wake', instance), pool, log, onWake),
    bus: await openBus(config, { id: storeId, sql: pool, source }, clock, log),
    workList: createWorkList(pool),
    dueSagas: (now, limit) => dueSagas(pool, now, limit),
    duePurchases: (now, limit) => duePurchases(pool, now, limit),
    dueReservations: (now, limit) => dueReservations(pool, now, limit),
    clock,
    ids: createIdSource(clock),
    random: Math.random,
  };
}

/**
 * Kafka as the bus; undefined when KAFKA_BROKERS is not set. Its client is loaded only then: that is more than half of what
 * there is to load.
 * @throws ConfigError naming the setting that is wrong
 */
async function openBus(config: Config, store: StoreSide, clock: Scheduler, log: Log): Promise<Bus | undefined> {
  const connection = connectionOf(config);
  if (connection === undefined) return undefined;
  const { kafkaBus } = await import('./kafka.ts');
  return kafkaBus(config, connection, store, clock, log);
}

/** The kernel of one process: what services are run by. */
export interface Kernel {
  readonly backend: Backend;
  readonly tail: Tail;
  /** Those that consumers may be on, the store's current one first. */
  readonly topologies: Topologies;
  readonly presence: Presence;
  /** Carries the log to the bus; undefined where the log is the bus. */
  readonly relay: Relay | undefined;
  /** Of the bus; undefined where the log is the bus. */
  readonly deadLetterTopics: DeadLetterTopics | undefined;
  /** @param onCommitted see `ProcessorPorts.onCommitted` */
  processor(service: ServiceDefinition, onCommitted?: (events: readonly RecordedEvent[]) => void): Processor;
  /** For a service whose messages other processes handle: its requests alone. */
  requests(service: ServiceDefinition): Processor;
  /** The read models of a service that follow the log. */
  follower(service: ServiceDefinition): Follower;
  start(): Promise<void>;
  stop(): Promise<void>;
}

type ProcessorParts = Pick<ProcessorPorts, 'consumer' | 'failures' | 'onCommitted'>;

/** The consumer by which a service's read models follow the log. */
export function followerName(service: string): string {
  return `${service}-projections`;
}

/** @param catalog the definitions of everything that may be on the bus */
export function createKernel(
  config: Config,
  backend: Backend,
  catalog: readonly EventDefinition[],
  observer: ProcessorObserver,
  log: Log,
): Kernel {
  const { store, topologies, groups, failures, turns, clock, ids, random } = backend;
  const tail = createTail();
  const wakeCall = backend.wakeCall(() => tail.wake());
  const presence = createPresence(config, {
    groups,
    tail,
    clock,
    log,
    notify: () => wakeCall.notify(),
    othersMayWrite: backend.othersMayWrite,
  });
  const definitions = new Map(catalog.map((definition) => [definition.type, definition]));
  const { announce } = presence;
  const readers: Consumer[] = [];
  const onLog = (name: string, types: readonly string[], settings: Partial<ConsumerSettings>): Consumer => {
    const reader = createConsumer(
      { ...config, name, member: config.instance, types, ...settings },
      { store, groups, tail, topologies, announce },
    );
    readers.push(reader);
    return reader;
  };
  /** Of a service's messages: from the bus, or the log where that is the bus. */
  const ofService = (name: string, types: readonly string[]): Consumer =>
    backend.bus?.consumer({ name, types }, { topologies, groups, announce }) ?? onLog(name, types, {});
  const following = {
    exclusive: true,
    maxInbox: config.projectionMaxInbox,
    fetchSize: config.projectionFetchSize,
  };
  const relay = backend.bus && relayTo(backend.bus);
  function relayTo(bus: Bus): Relay {
    const settings = { ...following, leaseMs: config.relayLeaseMs };
    return createRelay(
      { maxBatch: config.relayBatch, heartbeatMs: config.relayHeartbeatMs },
      {
        store,
        consumer: onLog('relay', [...topologies[0].routes.keys()], settings),
        destination: bus.destination(),
        register: bus.register,
        topologies: backend.writtenTopologies,
        clock,
        log,
      },
    );
  }
  const deadLetters = backend.bus?.deadLetters(topologies[0]);
  const carrier =
    deadLetters &&
    createDeadLetterCarrier(config.deadLetterBatch, { ...deadLetters, isActive: () => relay?.active === true, log });
  const carrying = carrier && createJob('dead letters', config.deadLetterPollMs, carrier.carry, log, clock);
  let endPoll: () => void = () => undefined;

  const processorOf = (service: ServiceDefinition, parts: ProcessorParts): Processor =>
    createProcessor(service, config, {
      store,
      tail,
      turns,
      clock,
      ids,
      random,
      log,
      observer,
      catalog: definitions,
      ...parts,
    });

  return {
    backend,
    tail,
    topologies,
    presence,
    relay,
    deadLetterTopics: deadLetters?.topics,
    processor: (service, onCommitted) =>
      processorOf(service, {
        consumer: ofService(service.name, Object.keys(service.reactions)),
        failures,
        ...(onCommitted !== undefined && { onCommitted }),
      }),
    requests: (service) =>
      processorOf(service, {
        consumer: consumeNothing(service.name, config.instance),
        failures: { retrying: async () => [] },
      }),
    follower: (service) => {
      const name = followerName(service.name);
      const types = [...new Set(service.projections.flatMap((projection) => projection.events))];
      const settings = {
        maxBatch: config.projectionMaxInbox,
        maxCachedRows: config.maxCachedRows,
        gatherMs: config.projectionGatherMs,
        busyGatherMs: config.projectionBusyGatherMs,
        busyEvents: config.projectionBusyEvents,
        heartbeatMs: config.heartbeatMs,
      };
      return createFollower(name, service.projections, settings, {
        store,
        consumer: onLog(name, types, following),
        log,
        clock,
      });
    },
    start: async () => {
      await wakeCall.start();
      tail.subscribe(() => {
        if (!tail.alone) wakeCall.notify();
      });
      await presence.start();
      endPoll = clock.every(config.pollMs, () => {
        // Who only stands by is not woken for what another reads.
        wakeCall.hear(readers.some(({ owned }) => owned.length > 0));
        if (!tail.alone) tail.wake();
      });
      await relay?.start();
      carrying?.start();
    },
    stop: async () => {
      endPoll();
      await carrier?.stop();
      await carrying?.stop();
      await relay?.stop();
      await presence.stop();
      await wakeCall.stop();
    },
  };
}
