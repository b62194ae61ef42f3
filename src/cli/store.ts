import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createLog, type Log } from '#kernel/observability/log.ts';
import { type Databases, openDatabases } from '#src/composition/databases.ts';
import { type Config, databaseUrlOf, readConfig, SERVICE_NAMES } from '#src/config.ts';
import { CliError } from './failure.ts';
import { logDestination } from './log-lines.ts';

/** A rebuild works on so many at once. */
const MIN_CONNECTIONS = 4;

/** The databases of a maintaining verb: one, unless services have their own. */
export interface OpenStore {
  readonly config: Config;
  readonly databases: Databases;
  readonly log: Log;
}

/**
 * Opens the databases for a verb, and closes them after `work`: those of DATABASE_URL and DATABASE_URL_…, or the one in
 * CAUDAL_DATA, which is started for the time being when it does not run.
 * @throws CliError when there is none yet
 */
export async function withStore<T>(work: (store: OpenStore) => Promise<T>): Promise<T> {
  const settings = readConfig(process.env);
  const config = { ...settings, poolSize: Math.max(settings.poolSize, MIN_CONNECTIONS) };
  const isEmbeddedUsed = SERVICE_NAMES.some((name) => databaseUrlOf(config, name) === undefined);
  if (isEmbeddedUsed && !existsSync(join(config.dataDir, 'postgres', 'PG_VERSION'))) {
    throw new CliError(
      `there is no data in ${config.dataDir}: run "bin/caudal start" first, or set CAUDAL_DATA or DATABASE_URL`,
    );
  }
  const log = createLog('warn', logDestination(config.logFile));
  const databases = await openDatabases(config, log, SERVICE_NAMES);
  try {
    return await work({ config, databases, log });
  } finally {
    await databases.close();
  }
}
