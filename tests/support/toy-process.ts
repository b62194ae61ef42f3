import { randomUUID } from 'node:crypto';
import type { TestContext } from 'node:test';
import { type Consumer, createConsumer } from '#kernel/bus/consumer.ts';
import type { GroupStore } from '#kernel/bus/group.ts';
import { createTail, type Tail } from '#kernel/bus/tail.ts';
import type { Topology } from '#kernel/bus/topology.ts';
import { systemClock } from '#kernel/core/clock.ts';
import { createIdSource } from '#kernel/core/ids.ts';
import type { Store } from '#kernel/event-store/store.ts';
import { createLog, type LogLevel } from '#kernel/observability/log.ts';
import type { FailureStore } from '#kernel/processor/failures.ts';
import { createProcessor, type Processor, type ProcessorSettings } from '#kernel/processor/processor.ts';
import { createFollower, type Follower } from '#kernel/projections/follower.ts';
import type { Backend } from './backends.ts';
import { onEnd } from './cleanup.ts';
import { added, additionAsked, createToyService, type ToyFaults, toyTopology } from './toy-service.ts';

const SETTINGS: ProcessorSettings = {
  maxBatchMessages: 10,
  maxBatchRequests: 10,
  minBatchAhead: 2,
  maxQueuedRequests: 1000,
  maxCachedStreams: 100,
  maxKnownRequests: 100,
  maxCachedRows: 100,
  snapshotEvery: 5,
  maxWaitingRetries: 100,
  heartbeatMs: 20,
};
const LEASE_MS = 10_000;

/** What a test may want to be different in one process. */
export interface ToyOptions {
  readonly faults?: ToyFaults;
  readonly topology?: Topology;
  readonly settings?: Partial<ProcessorSettings>;
  readonly leaseMs?: number;
  /** Another way to the same data: with faults, or through a proxy. */
  readonly store?: Store;
  readonly groups?: GroupStore;
  readonly failures?: FailureStore;
  /** True when no other process writes, so that what was committed is handed on without being read back. */
  readonly alone?: boolean;
}

/** One process that runs the toy service. */
export interface ToyProcess {
  readonly processor: Processor;
  readonly consumer: Consumer;
  readonly tail: Tail;
  /** Conflicts met so far. */
  readonly conflicts: () => number;
}

const LOG = createLog((process.env.TEST_LOG as LogLevel | undefined) ?? 'silent');

function consumerOf(backend: Backend, options: ToyOptions, tail: Tail, name: string, exclusive: boolean): Consumer {
  return createConsumer(
    {
      name,
      member: randomUUID(),
      types: [exclusive ? added.type : additionAsked.type],
      exclusive,
      maxInbox: 50,
      fetchSize: 25,
      leaseMs: options.leaseMs ?? LEASE_MS,
    },
    {
      store: options.store ?? backend.store,
      groups: options.groups ?? backend.groups,
      tail,
      topologies: [options.topology ?? toyTopology()],
    },
  );
}

function tailOf(alone = false): Tail {
  const tail = createTail();
  tail.alone = alone;
  return tail;
}

/** Starts a process of the toy service, and stops it after the test. */
export async function startToyProcess(t: TestContext, backend: Backend, options: ToyOptions = {}): Promise<ToyProcess> {
  const tail = tailOf(options.alone);
  const consumer = consumerOf(backend, options, tail, 'counters', false);
  let conflicts = 0;
  const processor = createProcessor(
    createToyService(options.faults),
    { ...SETTINGS, ...options.settings },
    {
      store: options.store ?? backend.store,
      consumer,
      failures: options.failures ?? backend.failures,
      turns: backend.turns,
      tail,
      clock: { ...systemClock, now: backend.clock.now },
      ids: createIdSource(),
      random: () => 0.5,
      log: LOG,
      observer: { batch: () => undefined, failure: () => undefined, conflict: () => conflicts++ },
      catalog: new Map([additionAsked, added].map((definition) => [definition.type, definition])),
    },
  );
  await processor.start();
  onEnd(t, () => processor.stop());
  return { processor, consumer, tail, conflicts: () => conflicts };
}

/** Starts the read model that follows the counters, and stops it after the test. */
export async function startToyFollower(
  t: TestContext,
  backend: Backend,
  options: ToyOptions = {},
): Promise<{ readonly follower: Follower; readonly tail: Tail }> {
  const tail = tailOf(options.alone);
  const follower = createFollower(
    'counters-projections',
    createToyService(options.faults).projections,
    { maxBatch: 7, maxCachedRows: 100, gatherMs: 1, busyGatherMs: 1, busyEvents: 1000, heartbeatMs: 20 },
    {
      store: options.store ?? backend.store,
      consumer: consumerOf(backend, options, tail, 'counters-projections', true),
      log: LOG,
      clock: { ...systemClock, now: backend.clock.now },
    },
  );
  await follower.start();
  onEnd(t, () => follower.stop());
  return { follower, tail };
}
