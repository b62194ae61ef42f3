import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PostgresBinaries } from './binaries.ts';
import { DATABASE } from './cluster.ts';
import { countOtherUsers } from './lease.ts';
import {
  becomesReady,
  type Postmaster,
  processEnds,
  runningPostmaster,
  signalProcess,
  wasKilled,
} from './postmaster.ts';
import { type Account, commandAs } from './run-as.ts';
import { failureReason, logSize, readLog, rotateLog } from './server-log.ts';
import { type ServerChoices, serverArguments } from './settings.ts';

const RETRY_MS = 200;
const RETRY_LIMIT_MS = 60_000;
const FAST_STOP_LIMIT_MS = 30_000;
const IMMEDIATE_STOP_LIMIT_MS = 10_000;

/** All that a start needs to know; paths are absolute. */
export interface Launch extends Omit<ServerChoices, 'port'> {
  dataDir: string;
  logFile: string;
  portFile: string;
  binaries: PostgresBinaries;
  account: Account | undefined;
  urlAt(port: number, database: string): string;
  log: { info(message: string): void; warn(message: string): void };
}

/**
 * Makes sure that a server runs on the data folder and answers: adopts one that runs, else starts one. `fixedPort` is for a
 * restart, when clients already know the port. To be called under the data folder's lock, as all that follows.
 * Throws with PostgreSQL's own reason.
 */
export async function ensureServer(launch: Launch, fixedPort?: number): Promise<Postmaster & { startedByUs: boolean }> {
  const deadline = Date.now() + RETRY_LIMIT_MS;
  for (;;) {
    const running = await runningPostmaster(launch.dataDir);
    if (running !== undefined) {
      if (await answers(launch, running)) return { ...running, startedByUs: false };
      continue;
    }
    const port = fixedPort ?? (await choosePort(launch.portFile));
    const started = await startServer(launch, port);
    if ('pid' in started) return { ...started, port, startedByUs: true };
    if (!passesByItself(started.reason) || Date.now() >= deadline) {
      throw new Error(`PostgreSQL did not start: ${started.reason} (log: ${launch.logFile})`);
    }
    await sleep(RETRY_MS);
  }
}

/**
 * Starts a server that was killed again. One that was stopped in good order is left alone: whoever did that will start it. Tells
 * whether the server answers now.
 */
export async function restartServer(launch: Launch, port: number): Promise<boolean> {
  const killed = await wasKilled(launch.dataDir);
  const running = await runningPostmaster(launch.dataDir);
  if (running === undefined && !killed) return false;
  const server = running ?? (await ensureServer(launch, port));
  if (server.port !== port)
    throw new Error(`PostgreSQL runs on port ${server.port} now, not on ${port}: start Caudal again`);
  return answers(launch, server);
}

/** Stops the server, unless a Caudal process is connected to it. Throws when it does not end. */
export async function stopServer(launch: Launch): Promise<void> {
  const running = await runningPostmaster(launch.dataDir);
  if (running === undefined) return;
  const others = await countOtherUsers(launch.urlAt(running.port, DATABASE)).catch((error: Error) => {
    launch.log.warn(`Nobody can be using PostgreSQL, it does not answer: ${error.message}`);
    return 0;
  });
  if (others > 0) return launch.log.info('PostgreSQL keeps running: another Caudal process uses it');
  // The signals of "pg_ctl stop -m fast" and "-m immediate".
  signalProcess(running.pid, 'SIGINT');
  if (await processEnds(running.pid, FAST_STOP_LIMIT_MS)) return launch.log.info('PostgreSQL stopped');
  launch.log.warn('PostgreSQL is slow to stop: it is stopped at once, and will recover at the next start');
  signalProcess(running.pid, 'SIGQUIT');
  if (!(await processEnds(running.pid, IMMEDIATE_STOP_LIMIT_MS))) {
    throw new Error(`PostgreSQL (process ${running.pid}) does not end`);
  }
}

function answers(launch: Launch, server: Postmaster): Promise<boolean> {
  return becomesReady(server.pid, launch.urlAt(server.port, 'postgres'), (message) => launch.log.info(message));
}

/**
 * After a kill, the server's children hold its memory until they notice. The port may be taken between our look and the start, or
 * the start may have been won by a process that does not know our lock.
 */
function passesByItself(reason: string): boolean {
  return /pre-existing shared memory block|lock file "postmaster.pid" already exists|Address already in use/.test(
    reason,
  );
}

/** Starts the server in a session of its own, so that it outlives this process however that ends. */
async function startServer(launch: Launch, port: number): Promise<{ pid: number } | { reason: string }> {
  await rotateLog(launch.logFile);
  const logStart = await logSize(launch.logFile);
  const log = await open(launch.logFile, 'a', 0o600);
  const { binaries, dataDir } = launch;
  const command = [binaries.postgres, '-D', dataDir, ...serverArguments({ ...launch, port })];
  const [program, args] = commandAs(launch.account, [binaries.postgres, dataDir], command);
  const child = spawn(program, args, { cwd: '/', detached: true, stdio: ['ignore', log.fd, log.fd] });
  try {
    await once(child, 'spawn');
  } finally {
    await log.close();
  }
  child.unref();
  const pid = child.pid as number;
  try {
    if (await answers(launch, { pid, port })) return { pid };
  } catch (error) {
    signalProcess(pid, 'SIGINT');
    throw error;
  }
  if (child.signalCode !== null) return { reason: `it was ended by ${child.signalCode}` };
  return { reason: failureReason(await readLog(launch.logFile, logStart)) };
}

/** The port used before, so that clients find the server again, unless another program took it; else a free one. */
async function choosePort(portFile: string): Promise<number> {
  const known = Number(await readFile(portFile, 'utf8').catch(() => '0'));
  const port = (await freePort(known)) ?? (await freePort(0));
  if (port === undefined) throw new Error('There is no free port on 127.0.0.1 for PostgreSQL');
  if (port !== known) await writeFile(portFile, String(port));
  return port;
}

/** `port` itself when nobody listens there (any free one for 0), else undefined. */
function freePort(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.on('error', () => resolve(undefined));
    probe.listen({ port, host: '127.0.0.1' }, () => {
      const { port: bound } = probe.address() as { port: number };
      probe.close(() => resolve(bound));
    });
  });
}
