import { mkdir } from 'node:fs/promises';
import { adoptPositions } from '#kernel/bus/postgres/bus-change.ts';
import { freePort } from '#kernel/net/free-port.ts';
import type { Log } from '#kernel/observability/log.ts';
import { createMetrics, type Metrics } from '#kernel/observability/metrics.ts';
import { createApi } from '#src/api/server.ts';
import { apiContext } from '#src/composition/api-context.ts';
import { type Database, openDatabase, SERVICES_WITH_TABLES } from '#src/composition/database.ts';
import { clockJob, landingsJob, partitionJob, pruneJob } from '#src/composition/jobs.ts';
import { createKernel, createPostgresBackend, type Kernel } from '#src/composition/kernel.ts';
import { metricsService } from '#src/composition/metrics.ts';
import { type InvariantMonitor, invariantMonitor } from '#src/composition/monitor.ts';
import { loadExchangeRates } from '#src/composition/rates.ts';
import {
  catalogOf,
  prepareServices,
  runServices,
  type ServiceInputs,
  serviceDefinitions,
  sourceOf,
} from '#src/composition/services.ts';
import { runSimulator, webhookSecretOf } from '#src/composition/simulator.ts';
import type { Config } from '#src/config.ts';

/** A platform that runs. */
export interface Platform {
  /** Where the API is. */
  readonly url: string;
  /** Where the card gateway is, or undefined when this process does not speak to one. */
  readonly gatewayUrl: string | undefined;
  /** The services that this process runs. */
  readonly services: readonly string[];
  /** Stops taking requests, finishes what is in hand, and leaves everything so that the next start goes on. */
  stop(): Promise<void>;
}

/** Something that was started and has to be stopped. */
interface Running {
  readonly name: string;
  stop(): Promise<void>;
}

/**
 * Starts everything that the settings ask for: database, kernel, services, gateway simulator, API.
 * @throws Error one line that says what is wrong and which setting it is about; what was started is stopped again
 */
export async function startPlatform(settings: Config, log: Log): Promise<Platform> {
  const running: Running[] = [];
  const stop = () => stopAll(running, log);
  try {
    return { ...(await start(settings, log, running)), stop };
  } catch (cause) {
    await stop();
    throw cause;
  }
}

async function start(settings: Config, log: Log, running: Running[]): Promise<Omit<Platform, 'stop'>> {
  // Webhooks need the API's address before it listens.
  const config = { ...settings, port: settings.port === 0 ? await freePort(settings.host) : settings.port };
  await mkdir(config.dataDir, { recursive: true });
  const database = await openDatabase(config, log, SERVICES_WITH_TABLES);
  running.push({ name: 'database', stop: () => database.close() });
  await settleBus(config, database, log);
  const { inputs, gatewayUrl } = await startGateway(config, log, running);
  const metrics = createMetrics();
  const { kernel, services } = await startServices(config, database, inputs, metrics, log, running);
  let monitor: InvariantMonitor | undefined;
  if (config.services.includes('metrics')) {
    const definitions = serviceDefinitions(inputs);
    monitor = invariantMonitor({ config, sql: database.pool, kernel, definitions, log });
    running.push({ name: 'monitor', stop: monitor.stop });
    await monitor.start();
  }
  const service = metricsService({ config, database, kernel, services, metrics, monitor, log });
  service.start();
  running.push({ name: 'metrics', stop: () => service.stop() });
  const rates = await loadExchangeRates(config.ratesFile);
  const api = createApi(apiContext({ config, database, kernel, services, inputs, rates, metrics, log }));
  const { url } = await api.start();
  running.push({ name: 'api', stop: () => api.stop() });
  log.info({ url, services: config.services, instance: config.instance }, 'Caudal runs');
  return { url, gatewayUrl, services: config.services };
}

/** Consumers that come from another bus go on where they were there. */
async function settleBus(config: Config, { pool, storeId }: Database, log: Log): Promise<void> {
  const form = config.kafkaBrokers === undefined ? 'log' : 'kafka';
  const consumers = await adoptPositions(pool, form, storeId, config.leaseMs);
  if (consumers.length > 0)
    log.info({ consumers }, form === 'kafka' ? 'the bus is Kafka from now on' : 'the bus is PostgreSQL from now on');
}

async function startGateway(
  config: Config,
  log: Log,
  running: Running[],
): Promise<{ inputs: ServiceInputs; gatewayUrl: string | undefined }> {
  const secret = await webhookSecretOf(config);
  let gatewayUrl = config.gatewayUrl;
  if (gatewayUrl === undefined && config.services.includes('gateway')) {
    const webhookUrl = `http://${config.host}:${config.port}/api/v1/webhooks/simulator`;
    const simulator = await runSimulator(config, webhookUrl, secret, log);
    running.push({ name: 'simulator', stop: () => simulator.stop() });
    gatewayUrl = simulator.url;
  }
  const inputs = await prepareServices(config, gatewayUrl ?? 'http://127.0.0.1:8090', secret, log);
  running.push({ name: 'fraud rules', stop: async () => inputs.rules.stop() });
  return { inputs, gatewayUrl };
}

async function startServices(
  config: Config,
  database: Database,
  inputs: ServiceInputs,
  metrics: Metrics,
  log: Log,
  running: Running[],
) {
  const definitions = serviceDefinitions(inputs);
  const backend = createPostgresBackend(config, database, sourceOf(definitions), log);
  const kernel: Kernel = createKernel(config, backend, catalogOf(definitions), metrics.observer, log);
  await kernel.start();
  running.push({ name: 'kernel', stop: () => kernel.stop() });
  const services = runServices({ config, kernel, inputs, definitions, onGatewayCall: metrics.gateway.call, log });
  running.push({ name: 'services', stop: () => services.stop() });
  await services.start();
  const jobs = [
    clockJob(database.clock, log),
    partitionJob(database.pool, database.clock, config.partitionsAhead, log),
    pruneJob(database.pool, log),
    landingsJob(database.pool, config.kafkaRetentionMs, log),
  ];
  for (const job of jobs) {
    job.start();
    running.push({ name: 'job', stop: () => job.stop() });
  }
  return { kernel, services };
}

/** In the reverse order of starting; what does not stop is logged, and the rest is stopped all the same. */
async function stopAll(running: Running[], log: Log): Promise<void> {
  for (let part = running.pop(); part !== undefined; part = running.pop()) {
    const { name } = part;
    await part.stop().catch((error: Error) => log.error({ part: name, error }, 'this part did not stop cleanly'));
  }
}
