import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createLog, type Log } from '#kernel/observability/log.ts';
import { type Database, openDatabase, SERVICES_WITH_TABLES } from '#src/composition/database.ts';
import { type Config, readConfig } from '#src/config.ts';
import { CliError } from './failure.ts';
import { logDestination } from './log-lines.ts';

/** A rebuild works on so many at once. */
const MIN_CONNECTIONS = 4;

/** The database of a maintaining verb. */
export interface OpenStore {
  readonly config: Config;
  readonly database: Database;
  readonly log: Log;
}

/**
 * Opens the database for a verb, and closes it after `work`: the one of DATABASE_URL, or the one in CAUDAL_DATA, which
 * is started for the time being when it does not run.
 * @throws CliError when there is none yet
 */
export async function withStore<T>(work: (store: OpenStore) => Promise<T>): Promise<T> {
  const settings = readConfig(process.env);
  const config = { ...settings, poolSize: Math.max(settings.poolSize, MIN_CONNECTIONS) };
  if (config.databaseUrl === undefined && !existsSync(join(config.dataDir, 'postgres', 'PG_VERSION'))) {
    throw new CliError(
      `there is no data in ${config.dataDir}: run "bin/caudal start" first, or set CAUDAL_DATA or DATABASE_URL`,
    );
  }
  const log = createLog('warn', logDestination(config.logFile));
  const database = await openDatabase(config, log, SERVICES_WITH_TABLES);
  try {
    return await work({ config, database, log });
  } finally {
    await database.close();
  }
}
