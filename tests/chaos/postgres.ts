import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { locateBinaries } from '#kernel/postgres/embedded/binaries.ts';
import { DATABASE, ensureCluster, ensurePassword, SUPERUSER } from '#kernel/postgres/embedded/cluster.ts';
import { ensureDatabase } from '#kernel/postgres/embedded/lease.ts';
import { becomesReady, processEnds } from '#kernel/postgres/embedded/postmaster.ts';
import { commandAs, serverAccount } from '#kernel/postgres/embedded/run-as.ts';
import type { Guardian } from './guardian.ts';
import { postgresOf, signal } from './processes.ts';

const STOP_LIMIT_MS = 30_000;
const START_TRIES = 10;
const START_PAUSE_MS = 300;

/** As a server of PostgreSQL comes, but for a log of changes that fits the small disk, and room for many processes. */
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '300',
  max_wal_size: '64MB',
  min_wal_size: '32MB',
};

/** A PostgreSQL server that nobody starts again but its operator. */
export interface Postgres {
  readonly port: number;
  /** Of the platform's database. */
  readonly url: string;
  /** The postmaster first, then its children; empty when none runs. */
  pids(): Promise<readonly number[]>;
  /** Starts it unless it runs, and waits until it takes connections. @throws Error when it ends instead; postgres.log says why */
  start(): Promise<void>;
  /** Stops it, `SIGINT` in good order, `SIGQUIT` at once, and waits until it is gone. */
  stop(how: 'SIGINT' | 'SIGQUIT'): Promise<void>;
}

export interface PostgresOptions {
  /** Where the folder `postgres` will be, with all data. */
  readonly folder: string;
  readonly logFile: string;
  readonly port: number;
}

/** Makes a data folder, starts a server on it, and makes the database. @param guardian is told of each process */
export async function createPostgres(options: PostgresOptions, guardian: Guardian): Promise<Postgres> {
  const { folder, logFile, port } = options;
  const dataDir = join(folder, 'postgres');
  const binaries = await locateBinaries();
  const account = serverAccount(dataDir);
  const password = await ensurePassword(dataDir);
  await ensureCluster(dataDir, password, binaries, account);
  const urlOf = (database: string) => `postgres://${SUPERUSER}:${password}@127.0.0.1:${port}/${database}`;

  const pids = () => postgresOf(folder);

  const tryToStart = async (): Promise<boolean> => {
    const log = await open(logFile, 'a');
    const settings = Object.entries({ ...SETTINGS, port }).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const command = [binaries.postgres, '-D', dataDir, ...settings];
    const [program, args] = commandAs(account, [binaries.postgres, dataDir], command);
    const child = spawn(program, args, { cwd: '/', detached: true, stdio: ['ignore', log.fd, log.fd] });
    await log.close();
    child.unref();
    guardian.watch(child.pid!);
    return becomesReady(child.pid!, urlOf('postgres'), () => undefined);
  };

  /** Where it was killed, the former one's processes may hold its memory for a moment yet. */
  const start = async (): Promise<void> => {
    if ((await pids()).length > 0) return;
    for (let tries = 1; !(await tryToStart()); tries++) {
      if (tries === START_TRIES) throw new Error('PostgreSQL ends whenever it is started; see postgres.log');
      await sleep(START_PAUSE_MS);
    }
  };

  await start();
  await ensureDatabase(urlOf('postgres'), DATABASE);
  return {
    port,
    url: urlOf(DATABASE),
    pids,
    start,
    stop: async (how) => {
      const [postmaster] = await pids();
      if (postmaster === undefined) return;
      signal([postmaster], how);
      if (!(await processEnds(postmaster, STOP_LIMIT_MS)))
        throw new Error(`PostgreSQL has not ended ${STOP_LIMIT_MS} ms after ${how}`);
    },
  };
}
