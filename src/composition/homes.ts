import { adoptPositions } from '#kernel/bus/postgres/bus-change.ts';
import type { Log } from '#kernel/observability/log.ts';
import type { Metrics } from '#kernel/observability/metrics.ts';
import type { Config, ServiceName } from '#src/config.ts';
import type { Database } from './database.ts';
import type { Databases } from './databases.ts';
import { clockJob, landingsJob, partitionJob, pruneJob } from './jobs.ts';
import { createKernel, createPostgresBackend, type Kernel } from './kernel.ts';
import { catalogOf, type serviceDefinitions, sourceOf } from './services.ts';

/** Where services are at home in a process: a database, and the kernel on it. */
export interface Home {
  /** Tells the homes of this process apart in metrics; empty where there is one for all services. */
  readonly name: string;
  readonly database: Database;
  readonly kernel: Kernel;
  start(): Promise<void>;
  /** To be called after the services of this home have stopped. */
  stop(): Promise<void>;
}

/** The homes of the services that a process has to do with: one for all, or several. */
export interface Homes {
  readonly all: readonly [Home, ...Home[]];
  has(service: ServiceName): boolean;
  /** @throws Error when this process has nothing to do with the service */
  of(service: ServiceName): Home;
}

export async function createHomes(
  config: Config,
  databases: Databases,
  definitions: ReturnType<typeof serviceDefinitions>,
  metrics: Metrics,
  log: Log,
): Promise<Homes> {
  const catalog = catalogOf(definitions);
  const homes = new Map<Database, Home>();
  for (const database of databases.all) {
    const backend = await createPostgresBackend(config, database, sourceOf(definitions), log);
    const kernel = createKernel(config, backend, catalog, metrics.observer, log);
    const name = databases.all.length === 1 ? '' : databases.servicesOf(database).join('-');
    homes.set(database, createHome(config, name, database, kernel, log));
  }
  return {
    all: [...homes.values()] as [Home, ...Home[]],
    has: (service) => databases.services.includes(service),
    of: (service) => homes.get(databases.of(service))!,
  };
}

function createHome(config: Config, name: string, database: Database, kernel: Kernel, log: Log): Home {
  const { pool, clock } = database;
  const jobs = [
    clockJob(clock, log),
    partitionJob(pool, clock, config.partitionsAhead, log),
    pruneJob(pool, log),
    landingsJob(pool, config.kafkaRetentionMs, log),
  ];
  return {
    name,
    database,
    kernel,
    start: async () => {
      await settleBus(config, database, log);
      await kernel.start();
      for (const job of jobs) job.start();
    },
    stop: async () => {
      for (const job of jobs) await job.stop();
      await kernel.stop();
    },
  };
}

/** Consumers that come from another bus go on where they were there. */
async function settleBus(config: Config, { pool, storeId }: Database, log: Log): Promise<void> {
  const form = config.kafkaBrokers === undefined ? 'log' : 'kafka';
  const consumers = await adoptPositions(pool, form, storeId, config.leaseMs);
  if (consumers.length > 0)
    log.info({ consumers }, form === 'kafka' ? 'the bus is Kafka from now on' : 'the bus is PostgreSQL from now on');
}
