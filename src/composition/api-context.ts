import { deadLetterTopic } from '#kernel/bus/topology.ts';
import { createHealth, type HealthCheck } from '#kernel/observability/health.ts';
import type { Log } from '#kernel/observability/log.ts';
import type { Metrics } from '#kernel/observability/metrics.ts';
import { createWorkList } from '#services/gateway/queries.ts';
import type { ApiContext, ServiceDatabase } from '#src/api/context.ts';
import type { ExchangeRates } from '#src/api/routes/rates.ts';
import type { Config, ServiceName } from '#src/config.ts';
import { createCaches } from './caches.ts';
import type { Home, Homes } from './homes.ts';
import type { Kernel } from './kernel.ts';
import { type RunningServices, type ServiceInputs, serviceDefinitions } from './services.ts';
import { joinStreams, type Streams } from './streams.ts';

const HEALTH_TIMEOUT_MS = 2000;

interface Parts {
  readonly config: Config;
  readonly homes: Homes;
  readonly services: RunningServices;
  readonly inputs: ServiceInputs;
  readonly rates: ExchangeRates;
  readonly metrics: Metrics;
  readonly log: Log;
}

/** What the API stands on, from the parts of this process. */
export function apiContext(parts: Parts): ApiContext {
  const { config, homes, services, inputs, rates, metrics, log } = parts;
  const [{ kernel }] = homes.all;
  const databases = new Map(homes.all.map((home) => [home, databaseOf(home, metrics)] as const));
  const portsOf = (name: ServiceName) => {
    const executor = services.processors.get(name) ?? services.requestsOnly.get(name);
    return executor && { executor, ...databases.get(homes.of(name))! };
  };
  const caches = createCaches({
    config,
    kernelOf: (service) => homes.of(service).kernel,
    sqlOf: (service) => databases.get(homes.of(service))!.sql,
    observe: metrics.cache,
  });
  const payments = portsOf('payments');
  const wallets = portsOf('wallets');
  const gateway = portsOf('gateway');
  const catalog = portsOf('catalog');
  const inventory = portsOf('inventory');
  const purchases = portsOf('purchases');
  const streams = streamsOf(homes, inputs);
  return {
    settings: {
      host: config.host,
      port: config.port,
      maxWaitSeconds: config.maxWaitSeconds,
      maxWaiters: config.maxWaiters,
      idempotencyTtlMs: config.idempotencyTtlMs,
      dlqReplaysPerSecond: config.dlqReplaysPerSecond,
      dlqTopicReadMax: config.dlqTopicReadMax,
      publicSettings: {
        topology: kernel.topologies[0].name,
        services: config.services.join(','),
        gateway: inputs.gatewaySettings.gateway,
      },
    },
    rates,
    ...(payments !== undefined && { payments: { ...payments, tail: homes.of('payments').kernel.tail } }),
    ...(wallets !== undefined && { wallets: { ...wallets, rows: caches.wallets() } }),
    ...(catalog !== undefined && { catalog: { ...catalog, rows: caches.products() } }),
    ...(inventory !== undefined && { inventory: { ...inventory, rows: caches.stock() } }),
    ...(purchases !== undefined && { purchases: { ...purchases, tail: homes.of('purchases').kernel.tail } }),
    paymentSettings: inputs.paymentSettings,
    tokenRequired: inputs.provider.requiresToken,
    ...(kernel.deadLetterTopics !== undefined && {
      deadLettersOnKafka: {
        topics: kernel.deadLetterTopics,
        names: deadLetterTopicNames(kernel, inputs),
      },
    }),
    ...(gateway !== undefined && {
      webhooks: {
        executor: gateway.executor,
        workList: createWorkList(gateway.sql),
        providers: new Map([[inputs.provider.name, inputs.provider]]),
        onWebhook: metrics.gateway.webhook,
      },
    }),
    databases: [...databases.values()] as [ServiceDatabase, ...ServiceDatabase[]],
    ...(streams !== undefined && { streams }),
    clock: kernel.backend.clock,
    ids: kernel.backend.ids,
    log,
    health: createHealth(healthChecks(parts), kernel.backend.clock, HEALTH_TIMEOUT_MS),
    metrics,
    refreshRetries: (service) => services.processors.get(service as ServiceName)?.refreshRetries(),
  };
}

function databaseOf({ database, kernel }: Home, metrics: Metrics): ServiceDatabase {
  return { id: database.storeId, store: kernel.backend.store, sql: metrics.timed(database.pool) };
}

/** Undefined when the database of some service is not open. */
function streamsOf(homes: Homes, inputs: ServiceInputs): Streams | undefined {
  const definitions = serviceDefinitions(inputs);
  if (![...definitions.keys()].every(homes.has)) return undefined;
  return joinStreams(definitions, (service) => {
    const { database, kernel } = homes.of(service);
    return { streams: kernel.backend.store, number: database.number };
  });
}

function deadLetterTopicNames({ topologies: [topology] }: Kernel, inputs: ServiceInputs): readonly string[] {
  const services = [...serviceDefinitions(inputs).values()];
  return [...new Set(services.map(({ dlqTopic }) => deadLetterTopic(topology, dlqTopic)))];
}

function healthChecks({ homes, services }: Parts): readonly HealthCheck[] {
  const store: HealthCheck = {
    name: 'database',
    critical: true,
    check: async () => {
      await Promise.all(homes.all.map(({ database }) => database.pool.query('SELECT 1')));
      return { status: 'healthy' };
    },
  };
  const bus: HealthCheck = {
    name: 'bus',
    critical: true,
    check: async () => {
      const waiting = [...services.processors, ...services.requestsOnly]
        .filter(([, processor]) => !processor.status().available)
        .map(([name]) => name);
      if (waiting.length > 0) return { status: 'unhealthy', detail: `waiting for the store: ${waiting.join(', ')}` };
      const trouble =
        homes.all.map(({ kernel }) => kernel.relay?.trouble).find(Boolean) ??
        [...services.processors.values()].map((one) => one.status().trouble).find(Boolean);
      return trouble === undefined ? { status: 'healthy' } : { status: 'degraded', detail: `events wait: ${trouble}` };
    },
  };
  const gateway: HealthCheck = {
    name: 'gateway',
    critical: false,
    check: async () => {
      const state = services.worker?.status().breaker.state;
      return state === undefined || state === 'closed'
        ? { status: 'healthy' }
        : { status: 'degraded', detail: `the circuit is ${state}` };
    },
  };
  return services.worker === undefined ? [store, bus] : [store, bus, gateway];
}
