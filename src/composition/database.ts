import { join } from 'node:path';
import { readStoreId } from '#kernel/bus/postgres/positions.ts';
import type { Log } from '#kernel/observability/log.ts';
import { type DatabaseClock, openDatabaseClock } from '#kernel/postgres/clock.ts';
import { startEmbeddedPostgres } from '#kernel/postgres/embedded.ts';
import { type MigrationSource, migrate } from '#kernel/postgres/migrator.ts';
import { createPool, type Pool } from '#kernel/postgres/pool.ts';
import { READS, sessionName } from '#kernel/postgres/sessions.ts';
import type { Config } from '#src/config.ts';
import { settleTopology, type Topologies } from './topology.ts';

const SOURCE = join(import.meta.dirname, '..');
const KERNEL_MIGRATIONS: MigrationSource = { scope: 'kernel', directory: join(SOURCE, 'kernel/postgres/migrations') };

/** The services that have tables, hence migrations, of their own. */
export const SERVICES_WITH_TABLES = [
  'payments',
  'wallets',
  'gateway',
  'catalog',
  'inventory',
  'purchases',
  'metrics',
] as const;

/** An open database, brought to the present schema. */
export interface Database {
  readonly url: string;
  readonly pool: Pool;
  readonly clock: DatabaseClock;
  /** Names this store among all whose events meet on one bus. */
  readonly storeId: string;
  /** Numbers it among those of the services; see `LogPart`. */
  readonly number: number;
  readonly topologies: Topologies;
  /** True when it is the one in the data folder. */
  readonly embedded: boolean;
  close(): Promise<void>;
}

/**
 * Opens PostgreSQL: the one of DATABASE_URL, or the embedded one in the data folder, which is started when it does not run.
 * @param migrated the services whose tables are brought up to date; the kernel's always are
 * @param number its own among those of the services, where they have several
 * @throws ConfigError when the settings name a topology that there is not, or another than this database is on
 */
export async function openDatabase(
  config: Config,
  log: Log,
  migrated: readonly string[],
  number = 0,
): Promise<Database> {
  const embedded =
    config.databaseUrl === undefined
      ? await startEmbeddedPostgres({ dataDir: join(config.dataDir, 'postgres'), log: plainLog(log) })
      : undefined;
  const url = config.databaseUrl ?? embedded!.url;
  const settings = {
    url,
    applicationName: sessionName(READS, config.instance),
    maxConnections: config.poolSize,
    statementTimeoutMs: config.statementTimeoutMs,
  };
  const pool = createPool(settings, (error) => log.warn({ error }, 'an idle connection to PostgreSQL broke'));
  const close = async (): Promise<void> => {
    await pool.close();
    await embedded?.stop();
  };
  try {
    const sources = [
      KERNEL_MIGRATIONS,
      ...migrated.map((name) => ({ scope: name, directory: join(SOURCE, 'services', name, 'migrations') })),
    ];
    const applied = await migrate(pool, sources);
    if (applied.length > 0) log.info({ migrations: applied }, 'the database was brought up to date');
    const topologies = await settleTopology(pool, config, log);
    const clock = await openDatabaseClock(pool);
    const storeId = await readStoreId(pool);
    return { url, pool, clock, storeId, number, topologies, embedded: embedded !== undefined, close };
  } catch (cause) {
    await close();
    throw cause;
  }
}

function plainLog(log: Log) {
  return {
    info: (message: string) => log.info({}, message),
    warn: (message: string) => log.warn({}, message),
    error: (message: string) => log.error({}, message),
  };
}
