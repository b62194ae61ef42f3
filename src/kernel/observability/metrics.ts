import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { CacheResult } from '../cache/row-cache.ts';
import type { Sql } from '../postgres/sql.ts';
import type { ProcessorObserver } from '../processor/commits.ts';
import { createLatencyWindow, type Percentiles } from './latency-window.ts';

const REQUEST_SECONDS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10, 30];
const BATCH_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5];
const BATCH_SIZES = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2000];

/** What the process measures of itself; `/metrics` shows the registry. */
export interface Metrics {
  readonly registry: Registry;
  readonly observer: ProcessorObserver;
  /**
   * Gives the function that notes the requests of one route: it is told whether the client asked us to wait for something.
   * @param route the pattern of the path, not the path
   */
  requests(method: string, route: string): (status: number, ms: number, waited: boolean) => void;
  /** The latencies since this was last asked, of all requests whose client did not ask us to wait. */
  takeRequestLatencies(): Percentiles;
  readonly gateway: GatewayObserver;
  /** Notes a look-up in a cache. */
  cache(name: string, result: CacheResult): void;
  /** The same database, with the time of each statement measured. */
  timed(sql: Sql): Sql;
}

/** What the gateway service tells of its calls and of webhooks. */
export interface GatewayObserver {
  call(info: { readonly gateway: string; readonly call: string; readonly outcome: string; readonly ms: number }): void;
  webhook(gateway: string, outcome: string): void;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return {
    registry,
    observer: observeProcessors(registry),
    ...observeRequests(registry),
    gateway: observeGateway(registry),
    cache: observeCaches(registry),
    timed: observeQueries(registry),
  };
}

function observeCaches(registry: Registry): Metrics['cache'] {
  const labelNames = ['cache', 'result'] as const;
  const asked = new Counter({
    name: 'caudal_cache_requests_total',
    help: 'look-ups by their result; bypass: other processes write, so the cache was not asked',
    labelNames,
    registers: [registry],
  });
  const counts = new Map<string, { hits: number; all: number }>();
  const ratio = new Gauge({
    name: 'caudal_cache_hit_ratio',
    help: 'hits of all look-ups since the start, 0 to 1',
    labelNames: ['cache'],
    registers: [registry],
    collect: () => {
      for (const [cache, { hits, all }] of counts) ratio.set({ cache }, hits / all);
    },
  });
  return (cache, result) => {
    asked.inc({ cache, result });
    const count = counts.get(cache) ?? { hits: 0, all: 0 };
    counts.set(cache, count);
    count.all += 1;
    if (result === 'hit') count.hits += 1;
  };
}

function observeProcessors(registry: Registry): ProcessorObserver {
  const registers = [registry];
  const labelNames = ['service'] as const;
  const counter = (name: string, help: string) => new Counter({ name, help, labelNames, registers });
  const messages = counter('caudal_messages_processed_total', 'messages of the bus handled');
  const requests = counter('caudal_requests_processed_total', 'requests decided');
  const events = counter('caudal_events_committed_total', 'events made durable');
  const conflicts = counter('caudal_commit_conflicts_total', 'batches decided again after a conflict');
  const sizes = new Histogram({
    name: 'caudal_batch_size',
    help: 'messages and requests in one batch',
    labelNames,
    buckets: BATCH_SIZES,
    registers,
  });
  const durations = new Histogram({
    name: 'caudal_batch_duration_seconds',
    help: 'from the first decision of a batch to its commit',
    labelNames,
    buckets: BATCH_SECONDS,
    registers,
  });
  const failures = new Counter({
    name: 'caudal_message_failures_total',
    help: 'attempts at messages that failed; dead: given to the operators',
    labelNames: ['service', 'topic', 'dead'],
    registers,
  });
  return {
    batch: (info) => {
      const labels = { service: info.service };
      messages.inc(labels, info.messages);
      requests.inc(labels, info.requests);
      events.inc(labels, info.events);
      sizes.observe(labels, info.messages + info.requests);
      durations.observe(labels, info.ms / 1000);
    },
    failure: ({ service, topic, dead }) => failures.inc({ service, topic, dead: String(dead) }),
    conflict: (service) => conflicts.inc({ service }),
  };
}

function observeRequests(registry: Registry): Pick<Metrics, 'requests' | 'takeRequestLatencies'> {
  const latencies = createLatencyWindow();
  const histogram = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'from the first byte of a request to the last of its answer',
    labelNames: ['method', 'route', 'status'],
    buckets: REQUEST_SECONDS,
    registers: [registry],
  });
  return {
    takeRequestLatencies: () => latencies.take(),
    requests: (method, route) => {
      const byStatus = new Map<number, (seconds: number) => void>();
      return (status, ms, waited) => {
        let observe = byStatus.get(status);
        if (observe === undefined) {
          const child = histogram.labels({ method, route, status: String(status) });
          observe = (seconds) => child.observe(seconds);
          byStatus.set(status, observe);
        }
        observe(ms / 1000);
        if (!waited) latencies.observe(ms);
      };
    },
  };
}

function observeGateway(registry: Registry): GatewayObserver {
  const calls = new Histogram({
    name: 'caudal_gateway_call_seconds',
    help: 'calls to card gateways; rejected: not made, the circuit is open',
    labelNames: ['gateway', 'call', 'outcome'],
    buckets: REQUEST_SECONDS,
    registers: [registry],
  });
  const webhooks = new Counter({
    name: 'caudal_webhooks_total',
    help: 'webhooks of card gateways, by what became of them; refused ones too',
    labelNames: ['gateway', 'outcome'],
    registers: [registry],
  });
  return {
    call: ({ gateway, call, outcome, ms }) => calls.observe({ gateway, call, outcome }, ms / 1000),
    webhook: (gateway, outcome) => webhooks.inc({ gateway, outcome }),
  };
}

function observeQueries(registry: Registry): (sql: Sql) => Sql {
  const durations = new Histogram({
    name: 'caudal_database_query_seconds',
    help: 'reads and operator actions on the pool, the wait for a connection included',
    buckets: BATCH_SECONDS,
    registers: [registry],
  });
  return (sql) => ({
    query: async (text, params) => {
      const started = performance.now();
      try {
        return await sql.query(text, params);
      } finally {
        durations.observe((performance.now() - started) / 1000);
      }
    },
  });
}
