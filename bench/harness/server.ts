import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLog } from '#kernel/observability/log.ts';
import { type Database, openDatabase, SERVICES_WITH_TABLES } from '#src/composition/database.ts';
import { readConfig } from '#src/config.ts';
import { withDataFolder } from './data-folder.ts';

const CLI = join(import.meta.dirname, '../../src/cli/main.ts');
/** After a kill, PostgreSQL first goes through what it wrote since its last checkpoint. */
const START_LIMIT_MS = 300_000;
const STOP_LIMIT_MS = 30_000;
const LOOK_MS = 20;
const LOG_LINES_SHOWN = 20;

/** The server keeps its data in its own folder and speaks to its own simulator, whatever the environment says. */
const STANDS_ALONE = {
  DATABASE_URL: '',
  KAFKA_BROKERS: '',
  REDIS_URL: '',
  GATEWAY_URL: '',
  CAUDAL_SERVICES: '',
  CAUDAL_LOG_FILE: '',
  NODE_ENV: 'production',
  LOG_LEVEL: 'warn',
  HOST: '127.0.0.1',
  SIMULATOR_PORT: '0',
};

/** A Caudal of our own with its PostgreSQL, as processes of their own. */
export interface BenchServer {
  readonly port: number;
  readonly url: string;
  readonly pid: number;
  readonly postgresPid: number;
  readonly database: Database;
  /** Stops it and its PostgreSQL, and starts both on the same data. */
  restart(): Promise<void>;
  /**
   * Ends the server with SIGKILL, and PostgreSQL when asked for, which would else go on; until the next `start` there is no
   * server. Our own connections are closed before, or we would start PostgreSQL again ourselves.
   * @returns when it was, by `performance.now()`
   */
  kill(withPostgres: boolean): Promise<number>;
  /** Starts a server on the same data. Resolves when it says that it is ready. */
  start(): Promise<void>;
}

interface Running {
  readonly child: ChildProcess;
  readonly database: Database;
  readonly postgresPid: number;
}

/**
 * Runs `work` with a server on an empty data folder and free ports, and leaves nothing behind, however it ends.
 * @param profile a folder for a CPU profile of the server, written when it stops
 * @throws Error with the end of its log when it does not start
 */
export function withBenchServer<T>(profile: string | undefined, work: (server: BenchServer) => Promise<T>): Promise<T> {
  return withDataFolder((dataDir) => runServer(dataDir, profile, work));
}

async function runServer<T>(
  dataDir: string,
  profile: string | undefined,
  work: (server: BenchServer) => Promise<T>,
): Promise<T> {
  const port = await freePort();
  let running: Running | undefined;
  const start = async (): Promise<void> => {
    running = await startServer(dataDir, port, profile);
  };
  const take = (): Running | undefined => {
    const taken = running;
    running = undefined;
    return taken;
  };
  const stop = async (): Promise<void> => {
    const stopped = take();
    if (stopped === undefined) return;
    await endProcess(stopped.child);
    await stopped.database.close();
  };
  try {
    await start();
    return await work({
      port,
      url: `http://127.0.0.1:${port}`,
      get pid() {
        return running!.child.pid!;
      },
      get postgresPid() {
        return running!.postgresPid;
      },
      get database() {
        return running!.database;
      },
      restart: async () => {
        await stop();
        await start();
      },
      kill: async (withPostgres) => killServer(take()!, withPostgres),
      start,
    });
  } finally {
    await stop();
  }
}

async function startServer(dataDir: string, port: number, profile: string | undefined): Promise<Running> {
  const child = await spawnServer(dataDir, port, profile);
  try {
    const config = readConfig({ CAUDAL_DATA: dataDir });
    const database = await openDatabase(config, createLog('silent'), SERVICES_WITH_TABLES);
    const pidFile = await readFile(join(dataDir, 'postgres/postmaster.pid'), 'utf8');
    return { child, database, postgresPid: Number.parseInt(pidFile, 10) };
  } catch (cause) {
    await endProcess(child);
    throw cause;
  }
}

/** The server runs with the options of this process (see bin/caudal), as a user's server does. */
async function spawnServer(dataDir: string, port: number, profile: string | undefined): Promise<ChildProcess> {
  const logFile = join(dataDir, 'server.log');
  const log = await open(logFile, 'a');
  const profiling = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
  const child = spawn(process.execPath, [...process.execArgv, ...profiling, CLI, 'start'], {
    env: { ...process.env, ...STANDS_ALONE, PORT: String(port), CAUDAL_DATA: dataDir },
    stdio: ['ignore', log.fd, log.fd],
  });
  const spawned = once(child, 'spawn');
  await log.close();
  try {
    await spawned;
    await writeFile(join(dataDir, 'server.pid'), String(child.pid));
    await untilReady(child, port);
    return child;
  } catch (cause) {
    await endProcess(child);
    const lines = (await readFile(logFile, 'utf8')).trim().split('\n').slice(-LOG_LINES_SHOWN);
    throw new Error(`the server of the benchmark does not start: ${(cause as Error).message}\n${lines.join('\n')}`, {
      cause,
    });
  }
}

async function untilReady(child: ChildProcess, port: number): Promise<void> {
  const deadline = Date.now() + START_LIMIT_MS;
  for (;;) {
    if (hasEnded(child)) throw new Error(`it ended with code ${child.exitCode ?? child.signalCode}`);
    const answer = await fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => undefined);
    await answer?.arrayBuffer();
    if (answer?.ok) return;
    if (Date.now() > deadline) throw new Error(`it is not ready after ${START_LIMIT_MS / 1000} s`);
    await sleep(LOOK_MS);
  }
}

async function killServer({ child, database, postgresPid }: Running, withPostgres: boolean): Promise<number> {
  await database.close();
  const ended = once(child, 'exit');
  const killedAt = performance.now();
  child.kill('SIGKILL');
  if (withPostgres) process.kill(postgresPid, 'SIGKILL');
  await ended;
  return killedAt;
}

async function endProcess(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
  await ended;
  clearTimeout(timer);
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
}

async function freePort(): Promise<number> {
  const probe = createServer();
  probe.listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}
