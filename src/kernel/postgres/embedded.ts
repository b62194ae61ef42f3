import { mkdir, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { locateBinaries } from './embedded/binaries.ts';
import { DATABASE, ensureCluster, ensurePassword, SUPERUSER } from './embedded/cluster.ts';
import { ensureServer, type Launch, restartServer, stopServer } from './embedded/launch.ts';
import { ensureDatabase, openLease } from './embedded/lease.ts';
import { withLockFile } from './embedded/lock-file.ts';
import { serverAccount } from './embedded/run-as.ts';
import { rotateLog } from './embedded/server-log.ts';

const RECOVERY_RETRY_MS = 1_000;
const LOG_CHECK_MS = 60_000;

/** Where the supervisor tells what it does; pino's loggers fit. */
export interface EmbeddedPostgresLog {
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

export interface EmbeddedPostgresOptions {
  /** `<CAUDAL_DATA>/postgres`. Beside it lie postgres.password, postgres.port, postgres.lock and postgres.log. */
  dataDir: string;
  log: EmbeddedPostgresLog;
  /** PostgreSQL's `shared_buffers`. Default 256MB. */
  sharedBuffers?: string;
  /** Statements slower than this are written to postgres.log. Default -1: none. */
  logStatementsSlowerThanMs?: number;
}

export interface EmbeddedPostgres {
  /** Of the database `caudal`, with the superuser's password. */
  url: string;
  port: number;
  /** False when the server ran already. */
  startedByUs: boolean;
  /**
   * Gives the server up, and stops it unless another Caudal process uses it. Close your own connections before. Throws when the
   * server does not end.
   */
  stop(): Promise<void>;
}

/**
 * Starts a PostgreSQL server of our own on `dataDir`, made at the first start, or adopts the one that a killed Caudal process left
 * running or another one uses. It listens on 127.0.0.1 only, and survives this process. While the handle is held, a server that was
 * killed is started again on the same port.
 *
 * The handle keeps one connection open, by which other processes see that the server is in use, and by which its end is noticed.
 *
 * Throws with a reason that a person can act on: no binaries for this platform, a folder of another version or owner, what
 * PostgreSQL itself wrote to its log.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { log } = options;
  const folder = await ensureFolder(options.dataDir);
  const locked = <T>(work: () => Promise<T>) => withLockFile(`${folder}.lock`, work);
  const { launch, server, lease } = await locked(() => openServer(folder, options)).catch((error) => {
    throw explained(error, folder);
  });
  log.info(`PostgreSQL ${server.startedByUs ? 'started' : 'was running already'} on port ${server.port}`);

  const keeper = keepAlive(launch, server.port, lease, locked, log);
  const logCheck = setInterval(() => {
    rotateLog(launch.logFile).catch((error: Error) => log.warn(`postgres.log is not rotated: ${error.message}`));
  }, LOG_CHECK_MS);
  let stopped: Promise<void> | undefined;

  async function stop(): Promise<void> {
    clearInterval(logCheck);
    await keeper.end();
    await locked(() => stopServer(launch));
  }

  return {
    url: launch.urlAt(server.port, DATABASE),
    port: server.port,
    startedByUs: server.startedByUs,
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
  };
}

/** The real path of the data folder, whose parent is made. */
async function ensureFolder(dataDir: string): Promise<string> {
  const parent = dirname(dataDir);
  await mkdir(parent, { recursive: true }).catch((error) => {
    throw explained(error, parent);
  });
  return join(await realpath(parent), basename(dataDir));
}

async function openServer(folder: string, options: EmbeddedPostgresOptions) {
  const binaries = await locateBinaries();
  const account = serverAccount(folder);
  const password = await ensurePassword(folder);
  await ensureCluster(folder, password, binaries, account);
  const launch: Launch = {
    dataDir: folder,
    logFile: `${folder}.log`,
    portFile: `${folder}.port`,
    binaries,
    account,
    sharedBuffers: options.sharedBuffers ?? '256MB',
    logStatementsSlowerThanMs: options.logStatementsSlowerThanMs ?? -1,
    urlAt: (port, database) => `postgres://${SUPERUSER}:${password}@127.0.0.1:${port}/${database}`,
    log: options.log,
  };
  const server = await ensureServer(launch);
  await ensureDatabase(launch.urlAt(server.port, 'postgres'), DATABASE);
  return { launch, server, lease: await openLease(launch.urlAt(server.port, DATABASE), options.log) };
}

/** Starts the server again, on the same port, whenever the lease breaks and the server turns out to have been killed. */
function keepAlive(
  launch: Launch,
  port: number,
  firstLease: pg.Client,
  locked: <T>(work: () => Promise<T>) => Promise<T>,
  log: EmbeddedPostgresLog,
): { end(): Promise<void> } {
  let lease = firstLease;
  let ending = false;
  let recovery = Promise.resolve();
  watch();

  function watch(): void {
    lease.once('end', () => {
      if (!ending) recovery = recover();
    });
  }

  async function recover(): Promise<void> {
    while (!ending) {
      try {
        if (await locked(() => restartServer(launch, port))) {
          lease = await openLease(launch.urlAt(port, DATABASE), log);
          log.info(`PostgreSQL answers again on port ${port}`);
          return watch();
        }
      } catch (error) {
        log.error((error as Error).message);
      }
      await sleep(RECOVERY_RETRY_MS);
    }
  }

  return {
    async end() {
      ending = true;
      await recovery;
      await lease.end();
    },
  };
}

function explained(error: Error & { code?: string }, folder: string): Error {
  if (!['EACCES', 'EPERM', 'EROFS', 'EEXIST', 'ENOTDIR', 'ENOSPC'].includes(error.code ?? '')) return error;
  const hint = 'Set CAUDAL_DATA to a folder that you can write to.';
  return new Error(`The data folder ${folder} cannot be used: ${error.message}. ${hint}`, { cause: error });
}
