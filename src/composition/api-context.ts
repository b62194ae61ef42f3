import { deadLetterTopic } from '#kernel/bus/topology.ts';
import { createHealth, type HealthCheck } from '#kernel/observability/health.ts';
import type { Log } from '#kernel/observability/log.ts';
import type { Metrics } from '#kernel/observability/metrics.ts';
import { createWorkList } from '#services/gateway/queries.ts';
import type { ApiContext } from '#src/api/context.ts';
import type { ExchangeRates } from '#src/api/routes/rates.ts';
import type { Config, ServiceName } from '#src/config.ts';
import type { Database } from './database.ts';
import type { Kernel } from './kernel.ts';
import { type RunningServices, type ServiceInputs, serviceDefinitions } from './services.ts';

const HEALTH_TIMEOUT_MS = 2000;

interface Parts {
  readonly config: Config;
  readonly database: Database;
  readonly kernel: Kernel;
  readonly services: RunningServices;
  readonly inputs: ServiceInputs;
  readonly rates: ExchangeRates;
  readonly metrics: Metrics;
  readonly log: Log;
}

/** What the API stands on, from the parts of this process. */
export function apiContext(parts: Parts): ApiContext {
  const { config, database, kernel, services, inputs, rates, metrics, log } = parts;
  const sql = metrics.timed(database.pool);
  const executor = (name: ServiceName) => services.processors.get(name) ?? services.requestsOnly.get(name);
  const [payments, wallets, gateway] = [executor('payments'), executor('wallets'), executor('gateway')];
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
    executors: { ...(payments !== undefined && { payments }), ...(wallets !== undefined && { wallets }) },
    paymentSettings: inputs.paymentSettings,
    tokenRequired: inputs.provider.requiresToken,
    ...(kernel.deadLetterTopics !== undefined && {
      deadLettersOnKafka: {
        topics: kernel.deadLetterTopics,
        names: deadLetterTopicNames(kernel, inputs),
        store: database.storeId,
      },
    }),
    ...(gateway !== undefined && {
      webhooks: {
        executor: gateway,
        workList: createWorkList(sql),
        providers: new Map([[inputs.provider.name, inputs.provider]]),
        onWebhook: metrics.gateway.webhook,
      },
    }),
    store: kernel.backend.store,
    sql,
    tail: kernel.tail,
    clock: kernel.backend.clock,
    ids: kernel.backend.ids,
    log,
    health: createHealth(healthChecks(parts), kernel.backend.clock, HEALTH_TIMEOUT_MS),
    metrics,
    refreshRetries: (service) => services.processors.get(service as ServiceName)?.refreshRetries(),
  };
}

function deadLetterTopicNames({ topologies: [topology] }: Kernel, inputs: ServiceInputs): readonly string[] {
  const services = [...serviceDefinitions(inputs).values()];
  return [...new Set(services.map(({ dlqTopic }) => deadLetterTopic(topology, dlqTopic)))];
}

function healthChecks({ database, kernel, services }: Parts): readonly HealthCheck[] {
  const store: HealthCheck = {
    name: 'database',
    critical: true,
    check: async () => {
      await database.pool.query('SELECT 1');
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
        kernel.relay?.trouble ?? [...services.processors.values()].map((one) => one.status().trouble).find(Boolean);
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
