import { type Consumer, createConsumer } from '#kernel/bus/consumer.ts';
import type { GroupStore } from '#kernel/bus/group.ts';
import { createPostgresFailureStore } from '#kernel/bus/postgres/failure-store.ts';
import { createPostgresGroupStore } from '#kernel/bus/postgres/group-store.ts';
import { createWakeCall, type WakeCall } from '#kernel/bus/postgres/wake.ts';
import { createPresence, type Presence } from '#kernel/bus/presence.ts';
import { createTail, type Tail } from '#kernel/bus/tail.ts';
import type { Topology } from '#kernel/bus/topology.ts';
import type { Clock } from '#kernel/core/clock.ts';
import type { EventDefinition, RecordedEvent } from '#kernel/core/event.ts';
import { createIdSource, type IdSource } from '#kernel/core/ids.ts';
import { createPostgresStore } from '#kernel/event-store/postgres/store.ts';
import type { Store } from '#kernel/event-store/store.ts';
import type { Log } from '#kernel/observability/log.ts';
import type { ProcessorObserver } from '#kernel/processor/commits.ts';
import { createProcessor, type Processor } from '#kernel/processor/processor.ts';
import type { ServiceDefinition } from '#kernel/processor/service.ts';
import { createFollower, type Follower } from '#kernel/projections/follower.ts';
import type { Config } from '#src/config.ts';
import { topologyOf } from '#src/topologies.ts';
import type { Database } from './database.ts';

/** The kernel of one process on one database: what services are run by. */
export interface Kernel {
  readonly store: Store;
  readonly groups: GroupStore;
  readonly tail: Tail;
  readonly topology: Topology;
  readonly presence: Presence;
  readonly clock: Clock;
  readonly ids: IdSource;
  /** @param onCommitted see `ProcessorPorts.onCommitted` */
  processor(service: ServiceDefinition, onCommitted?: (events: readonly RecordedEvent[]) => void): Processor;
  /** The read models of a service that follow the log. */
  follower(service: ServiceDefinition): Follower;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** The consumer by which a service's read models follow the log. */
export function followerName(service: string): string {
  return `${service}-projections`;
}

/** @param catalog the definitions of everything that may be on the bus */
export function createKernel(
  config: Config,
  database: Database,
  catalog: readonly EventDefinition[],
  observer: ProcessorObserver,
  log: Log,
): Kernel {
  const topology = topologyOf(config);
  const { clock } = database;
  const ids = createIdSource(clock);
  const tail = createTail();
  const store = createPostgresStore(
    { url: database.url, instance: config.instance, resolveTimeoutMs: config.resolveTimeoutMs },
    database.pool,
    clock,
  );
  const groups = createPostgresGroupStore(database.pool);
  const wakeCall: WakeCall = createWakeCall(database.url, `caudal wake ${config.instance}`, database.pool, log, () =>
    tail.wake(),
  );
  const presence = createPresence(config, groups, tail, log, () => wakeCall.notify());
  const definitions = new Map(catalog.map((definition) => [definition.type, definition]));
  const consumer = (name: string, types: readonly string[], exclusive: boolean): Consumer =>
    createConsumer(
      {
        ...config,
        name,
        member: config.instance,
        types,
        exclusive,
        maxInbox: exclusive ? config.projectionMaxInbox : config.maxInbox,
      },
      { store, groups, tail, topology },
    );
  let poll: NodeJS.Timeout | undefined;

  return {
    store,
    groups,
    tail,
    topology,
    presence,
    clock,
    ids,
    processor: (service, onCommitted) =>
      createProcessor(service, config, {
        store,
        consumer: consumer(service.name, Object.keys(service.reactions), false),
        failures: createPostgresFailureStore(database.pool),
        tail,
        clock,
        ids,
        random: Math.random,
        log,
        observer,
        catalog: definitions,
        ...(onCommitted !== undefined && { onCommitted }),
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
        consumer: consumer(name, types, true),
        log,
        now: clock.now,
      });
    },
    start: async () => {
      await wakeCall.start();
      tail.subscribe(() => {
        if (!tail.alone) wakeCall.notify();
      });
      await presence.start();
      poll = setInterval(() => {
        if (!tail.alone) tail.wake();
      }, config.pollMs);
    },
    stop: async () => {
      clearInterval(poll);
      await presence.stop();
      await wakeCall.stop();
    },
  };
}
