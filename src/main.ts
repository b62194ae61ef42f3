import { mkdir } from 'node:fs/promises';
import { freePort } from '#kernel/net/free-port.ts';
import type { Log } from '#kernel/observability/log.ts';
import { createMetrics } from '#kernel/observability/metrics.ts';
import { createApi } from '#src/api/server.ts';
import { apiContext } from '#src/composition/api-context.ts';
import { openBooks } from '#src/composition/books.ts';
import { type Databases, neededServices, openDatabases } from '#src/composition/databases.ts';
import { createHomes, type Homes } from '#src/composition/homes.ts';
import type { Kernel } from '#src/composition/kernel.ts';
import { metricsService } from '#src/composition/metrics.ts';
import { type InvariantMonitor, invariantMonitor } from '#src/composition/monitor.ts';
import { loadExchangeRates } from '#src/composition/rates.ts';
import { prepareServices, runServices, type ServiceInputs, serviceDefinitions } from '#src/composition/services.ts';
import { runSimulator, webhookSecretOf } from '#src/composition/simulator.ts';
import type { Config, ServiceName } from '#src/config.ts';

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
  const databases = await openDatabases(config, log, neededServices(config));
  running.push({ name: 'databases', stop: () => databases.close() });
  const { inputs, gatewayUrl } = await startGateway(config, log, running);
  const metrics = createMetrics();
  const definitions = serviceDefinitions(inputs);
  const homes = await createHomes(config, databases, definitions, metrics, log);
  for (const home of homes.all) running.push({ name: `home ${home.name}`, stop: () => home.stop() });
  await startHomes(homes);
  const kernelOf = (service: ServiceName): Kernel => homes.of(service).kernel;
  const services = runServices({ config, kernelOf, inputs, definitions, onGatewayCall: metrics.gateway.call, log });
  running.push({ name: 'services', stop: () => services.stop() });
  await services.start();
  const monitor = await startMonitor(config, databases, homes, definitions, log, running);
  const service = metricsService({ config, homes, services, metrics, monitor, log });
  service.start();
  running.push({ name: 'metrics', stop: () => service.stop() });
  const rates = await loadExchangeRates(config.ratesFile);
  const api = createApi(apiContext({ config, homes, services, inputs, rates, metrics, log }));
  const { url } = await api.start();
  running.push({ name: 'api', stop: () => api.stop() });
  log.info({ url, services: config.services, instance: config.instance }, 'Caudal runs');
  return { url, gatewayUrl, services: config.services };
}

/** Side by side: each waits until the other processes of its store surely know of this one. */
async function startHomes({ all }: Homes): Promise<void> {
  const starts = await Promise.allSettled(all.map((home) => home.start()));
  const failed = starts.find((start) => start.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
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

/** @returns undefined in a process that is not asked to watch the whole platform */
async function startMonitor(
  config: Config,
  databases: Databases,
  homes: Homes,
  definitions: ReturnType<typeof serviceDefinitions>,
  log: Log,
  running: Running[],
): Promise<InvariantMonitor | undefined> {
  if (!config.services.includes('metrics')) return undefined;
  const { kernel } = homes.of('metrics');
  const books = openBooks(databases, definitions, kernel.backend.clock);
  const monitor = invariantMonitor({ config, books, kernel, definitions, log });
  running.push({ name: 'monitor', stop: monitor.stop });
  await monitor.start();
  return monitor;
}

/** In the reverse order of starting; what does not stop is logged, and the rest is stopped all the same. */
async function stopAll(running: Running[], log: Log): Promise<void> {
  for (let part = running.pop(); part !== undefined; part = running.pop()) {
    const { name } = part;
    await part.stop().catch((error: Error) => log.error({ part: name, error }, 'this part did not stop cleanly'));
  }
}
