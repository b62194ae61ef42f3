import { readSeats } from '#kernel/bus/postgres/topologies.ts';
import type { Log } from '#kernel/observability/log.ts';
import { createPool } from '#kernel/postgres/pool.ts';
import { READS, sessionName } from '#kernel/postgres/sessions.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import { type Config, ConfigError, databaseUrlOf, SERVICE_NAMES, type ServiceName } from '#src/config.ts';
import { type Database, openDatabase, SERVICES_WITH_TABLES } from './database.ts';

/** The databases that a process works with: one for all services, or several, each of one service or more. */
export interface Databases {
  /** Every one of them, once. */
  readonly all: readonly Database[];
  /** The services whose databases they are. */
  readonly services: readonly ServiceName[];
  /** Those of them that are in this one. */
  servicesOf(database: Database): readonly ServiceName[];
  /** @throws Error when it was not asked for */
  of(service: ServiceName): Database;
  close(): Promise<void>;
}

/** The services whose databases a process needs: its own, and all when it shows or watches the whole platform. */
export function neededServices({ services }: Config): readonly ServiceName[] {
  if (services.includes('api') || services.includes('metrics')) return SERVICE_NAMES;
  return SERVICE_NAMES.filter((name) => services.includes(name));
}

/**
 * Opens the databases of services. Settings that lead to the same database by different names count as one.
 * @throws ConfigError when services have databases of their own and no Kafka between them, or when what a service has done so
 * far is in another database than the settings say
 */
export async function openDatabases(config: Config, log: Log, services: readonly ServiceName[]): Promise<Databases> {
  checkBus(config);
  const byUrl = new Map<string | undefined, Database>();
  const close = async (): Promise<void> => {
    for (const database of [...new Set(byUrl.values())].reverse()) await database.close();
  };
  const of = (service: ServiceName): Database => {
    const database = byUrl.get(databaseUrlOf(config, service));
    if (database === undefined) throw new Error(`the database of ${service} is not open`);
    return database;
  };
  try {
    for (const url of new Set(services.map((name) => databaseUrlOf(config, name))))
      byUrl.set(url, await openOne(config, log, url, [...byUrl.values()]));
    const all = [...new Set(byUrl.values())];
    checkTopologies(all);
    for (const database of all) await refuseMoved(database.pool, services, (name) => of(name) === database);
    await refuseLeft(config, services, [...byUrl.keys()]);
    const servicesOf = (database: Database) => services.filter((name) => of(name) === database);
    return { all, services, servicesOf, of, close };
  } catch (cause) {
    await close();
    throw cause;
  }
}

/** @returns one of those that are open, when it is the same */
async function openOne(
  config: Config,
  log: Log,
  url: string | undefined,
  open: readonly Database[],
): Promise<Database> {
  const migrated = SERVICES_WITH_TABLES.filter((name) => databaseUrlOf(config, name) === url);
  // Services stay where they are, so the first of them stands for the database.
  const number = SERVICE_NAMES.findIndex((name) => databaseUrlOf(config, name) === url);
  const database = await openDatabase({ ...config, databaseUrl: url }, log, migrated, number);
  const same = open.find(({ storeId }) => storeId === database.storeId);
  if (same === undefined) return database;
  await database.close();
  return same;
}

/** Services in different databases cannot follow one log. */
function checkBus(config: Config): void {
  const common = databaseUrlOf(config, 'payments');
  const apart = SERVICE_NAMES.find((name) => databaseUrlOf(config, name) !== common);
  if (apart === undefined || config.kafkaBrokers !== undefined) return;
  throw new ConfigError(
    `payments and ${apart} have different databases (DATABASE_URL_…): their events have to travel on Kafka, set KAFKA_BROKERS`,
  );
}

/** What one service writes to the topics of one topology, another would wait for on those of its own. */
function checkTopologies(all: readonly Database[]): void {
  const names = new Set(all.map(({ topologies: [current] }) => current.name));
  if (names.size > 1)
    throw new ConfigError(
      `the databases of the services are on different topologies: ${[...names].join(', ')}; where they begin, CAUDAL_TOPOLOGY has to be the same for all of them`,
    );
}

/**
 * A service that came to an empty database would know nothing of its past, and do all of it again.
 * @param isHome whether the database that is asked is where the settings have the service
 */
async function refuseMoved(
  sql: Sql,
  services: readonly ServiceName[],
  isHome: (service: ServiceName) => boolean,
): Promise<void> {
  const seats = new Set((await readSeats(sql)).map(({ consumer }) => consumer));
  const moved = services.find((name) => seats.has(name) && !isHome(name));
  if (moved !== undefined)
    throw new ConfigError(
      `DATABASE_URL_${moved.toUpperCase()}: what the ${moved} service has done so far is in another database, that of DATABASE_URL or of another service: have it stay there`,
    );
}

/** The same, asked of the common database by a process that does not work with it. */
async function refuseLeft(
  { databaseUrl, instance, statementTimeoutMs }: Config,
  services: readonly ServiceName[],
  opened: readonly (string | undefined)[],
): Promise<void> {
  if (databaseUrl === undefined || opened.includes(databaseUrl)) return;
  const settings = { url: databaseUrl, applicationName: sessionName(READS, instance), maxConnections: 1 };
  const pool = createPool({ ...settings, statementTimeoutMs }, () => undefined);
  try {
    const [row] = await pool.query<{ used: boolean }>(`SELECT to_regclass('bus_seats') IS NOT NULL AS used`);
    if (row!.used) await refuseMoved(pool, services, () => false);
  } finally {
    await pool.close();
  }
}
