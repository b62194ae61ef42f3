import { availableParallelism, totalmem } from 'node:os';
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Clock } from '#kernel/core/clock.ts';
import type { Percentiles } from '#kernel/observability/latency-window.ts';
import type { Processor } from '#kernel/processor/processor.ts';
import type { Follower } from '#kernel/projections/follower.ts';
import type { BreakerMetrics } from '#kernel/resilience/circuit-breaker.ts';
import type { BrokenInvariant, Sample } from './alert.decider.ts';

/** Where the numbers of this process come from. */
export interface MetricSources {
  readonly processors: readonly Pick<Processor, 'service' | 'status' | 'lag'>[];
  readonly followers: readonly Pick<Follower, 'name' | 'lag' | 'lastDelayMs'>[];
  /** Events that the monitor has not looked at: it takes its time, so no alert comes of it. */
  readonly monitorLag: () => Promise<number>;
  readonly requestLatencies: () => Percentiles;
  readonly pool: () => {
    readonly total: number;
    readonly idle: number;
    readonly waiting: number;
    readonly max: number;
  };
  readonly breakers: () => readonly BreakerMetrics[];
  /** Open dead letters and messages that wait for another attempt, by topic and database. */
  readonly failures: () => Promise<
    readonly { readonly dlq_topic: string; readonly open: number; readonly retrying: number }[]
  >;
  readonly stuckSagas: () => Promise<number>;
  /** What the monitor has found and nobody has seen to: few rows, asked for at each look. */
  readonly openFindings: () => Promise<readonly BrokenInvariant[]>;
  /** What else must always hold and does not: asked for at longer intervals. */
  readonly brokenSums: () => Promise<readonly BrokenInvariant[]>;
  /** The names of all invariants. */
  readonly invariants: readonly string[];
}

/** Looks at the process, and shows what it sees as metrics. */
export interface Sampler {
  /** @throws UnavailableError when the database is out of reach */
  take(): Promise<Sample>;
}

interface Ports {
  readonly registry: Registry;
  readonly sources: MetricSources;
  readonly clock: Clock;
}

const BREAKER_STATES = { closed: 0, half_open: 1, open: 2 } as const;
const MICROSECONDS = 1000;

export function createSampler(invariantMs: number, { registry, sources, clock }: Ports): Sampler {
  const meters = createMeters(registry, sources.invariants);
  let brokenSums: readonly BrokenInvariant[] = [];
  let checkedAt = Number.NEGATIVE_INFINITY;
  let cpuBefore = process.cpuUsage();
  let loopBefore = performance.eventLoopUtilization();
  let takenAt = clock.now();
  let openBefore = new Map<string, number>();

  /** A process is full when all cores are, or when its one event loop is. */
  const cpuShare = (elapsedMs: number): number => {
    const { user, system } = process.cpuUsage(cpuBefore);
    const loop = performance.eventLoopUtilization(loopBefore).utilization;
    cpuBefore = process.cpuUsage();
    loopBefore = performance.eventLoopUtilization();
    return Math.max((user + system) / MICROSECONDS / elapsedMs / availableParallelism(), loop);
  };

  const breakersOpen = (elapsedMs: number): Record<string, number> => {
    const breakers = sources.breakers();
    const shares = breakers.map(({ name, openMs }) => [name, (openMs - (openBefore.get(name) ?? 0)) / elapsedMs]);
    openBefore = new Map(breakers.map(({ name, openMs }) => [name, openMs]));
    meters.breakers(breakers);
    return Object.fromEntries(shares);
  };

  const lags = async (): Promise<Record<string, number>> => {
    const consumers = [
      ...sources.processors.map(({ service, lag }) => ({ name: service, lag })),
      ...sources.followers.map(({ name, lag }) => ({ name, lag })),
    ];
    const entries = await Promise.all(consumers.map(async ({ name, lag }) => [name, await lag()] as const));
    meters.lags([...entries, ['monitor', await sources.monitorLag()]]);
    return Object.fromEntries(entries);
  };

  const checkInvariants = async (): Promise<readonly BrokenInvariant[]> => {
    const found = await sources.openFindings();
    if (clock.now() - checkedAt >= invariantMs) {
      brokenSums = await sources.brokenSums();
      checkedAt = clock.now();
    }
    const broken = [...found, ...brokenSums];
    meters.invariants(broken);
    return broken;
  };

  return {
    take: async () => {
      const elapsedMs = Math.max(1, clock.now() - takenAt);
      takenAt = clock.now();
      meters.processors(sources.processors);
      meters.followers(sources.followers);
      const pool = sources.pool();
      meters.pool(pool);
      const here = {
        requests: sources.requestLatencies(),
        pool: (pool.total - pool.idle) / pool.max,
        cpu: cpuShare(elapsedMs),
        memory: process.memoryUsage.rss() / (process.constrainedMemory() || totalmem()),
        breakersOpen: breakersOpen(elapsedMs),
      };
      const [lag, failures, stuckSagas, broken] = await Promise.all([
        lags(),
        sources.failures(),
        sources.stuckSagas(),
        checkInvariants(),
      ]);
      meters.failures(failures);
      meters.stuckSagas(stuckSagas);
      const deadLetters = failures.reduce((sum, { open }) => sum + open, 0);
      return { ...here, lag, deadLetters, stuckSagas, brokenInvariants: broken };
    },
  };
}

/** The instruments that a look sets. */
function createMeters(registry: Registry, invariants: readonly string[]) {
  const registers = [registry];
  const gauge = (name: string, help: string, labelNames: readonly string[] = []) =>
    new Gauge({ name, help, labelNames, registers });
  const lag = gauge('caudal_consumer_lag', 'events of the log that the consumer has not handled', ['consumer']);
  const queue = gauge('caudal_request_queue', 'requests that wait for their batch', ['service']);
  const available = gauge('caudal_service_available', '1: the service takes requests', ['service']);
  const delay = gauge('caudal_projection_delay_seconds', 'from an event to its effect in the read model', [
    'projection',
  ]);
  const connections = gauge('caudal_database_pool_connections', 'connections of the pool', ['state']);
  const breakerState = gauge('caudal_breaker_state', '0 closed, 1 half open, 2 open', ['name']);
  const deadLetters = gauge('caudal_dead_letters', 'open dead letters', ['topic']);
  const retrying = gauge('caudal_messages_retrying', 'messages that wait for another attempt', ['topic']);
  const stuck = gauge('caudal_stuck_sagas', 'sagas past a deadline, or that try a step again');
  const broken = gauge('caudal_broken_invariants', 'where what must always hold does not', ['invariant']);
  const hits = growing(registry, 'caudal_state_cache_hits_total', 'states of streams found in memory', 'service');
  const misses = growing(registry, 'caudal_state_cache_misses_total', 'states of streams that were loaded', 'service');
  const opened = growing(registry, 'caudal_breaker_opened_total', 'how often the circuit opened', 'name');
  const openMs = growing(
    registry,
    'caudal_breaker_open_milliseconds_total',
    'how long the circuit was not closed',
    'name',
  );

  return {
    processors: (processors: MetricSources['processors']) => {
      for (const { service, status } of processors) {
        const now = status();
        queue.set({ service }, now.queuedRequests);
        available.set({ service }, now.available ? 1 : 0);
        hits(service, now.cacheHits);
        misses(service, now.cacheMisses);
      }
    },
    followers: (followers: MetricSources['followers']) => {
      for (const { name, lastDelayMs } of followers) delay.set({ projection: name }, lastDelayMs / 1000);
    },
    lags: (entries: readonly (readonly [string, number])[]) => {
      for (const [consumer, events] of entries) lag.set({ consumer }, events);
    },
    pool: ({ total, idle, waiting, max }: ReturnType<MetricSources['pool']>) => {
      for (const [state, n] of Object.entries({ used: total - idle, idle, waiting, max }))
        connections.set({ state }, n);
    },
    breakers: (breakers: readonly BreakerMetrics[]) => {
      for (const breaker of breakers) {
        breakerState.set({ name: breaker.name }, BREAKER_STATES[breaker.state]);
        opened(breaker.name, breaker.opened);
        openMs(breaker.name, breaker.openMs);
      }
    },
    failures: (failures: Awaited<ReturnType<MetricSources['failures']>>) => {
      deadLetters.reset();
      retrying.reset();
      for (const failure of failures) {
        deadLetters.inc({ topic: failure.dlq_topic }, failure.open);
        retrying.inc({ topic: failure.dlq_topic }, failure.retrying);
      }
    },
    stuckSagas: (n: number) => stuck.set(n),
    invariants: (found: readonly BrokenInvariant[]) => {
      for (const invariant of invariants) broken.set({ invariant }, 0);
      for (const { invariant, count } of found) broken.inc({ invariant }, count);
    },
  };
}

/** A counter of something that is counted elsewhere. @returns sets it to a total, which never falls */
function growing(registry: Registry, name: string, help: string, label: string): (of: string, total: number) => void {
  const counter = new Counter({ name, help, labelNames: [label], registers: [registry] });
  const before = new Map<string, number>();
  return (of, total) => {
    counter.inc({ [label]: of }, Math.max(0, total - (before.get(of) ?? 0)));
    before.set(of, total);
  };
}
