import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

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

/** One process of a server. */
export interface ServerProcessOptions {
  readonly dataDir: string;
  readonly port: number;
  /** A folder for a CPU profile, written when it stops. */
  readonly profile: string | undefined;
  /** Its settings. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Starts `caudal start` with the options of this process (see bin/caudal), as a user does. Resolves when it says that it is ready.
 * @throws Error with the end of its log when it does not start
 */
export async function startServerProcess(options: ServerProcessOptions): Promise<ChildProcess> {
  const { dataDir, port, profile, env } = options;
  const logFile = join(dataDir, 'server.log');
  const log = await open(logFile, 'a');
  const profiling = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
  const child = spawn(process.execPath, [...process.execArgv, ...profiling, CLI, 'start'], {
    env: { ...process.env, ...STANDS_ALONE, ...env, PORT: String(port), CAUDAL_DATA: dataDir },
    stdio: ['ignore', log.fd, log.fd],
  });
  const spawned = once(child, 'spawn');
  await log.close();
  try {
    await spawned;
    await appendFile(join(dataDir, 'server.pid'), `${child.pid}\n`);
    await untilReady(child, port);
    return child;
  } catch (cause) {
    await endServerProcess(child);
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

/** Asks it to stop, and kills it when that takes too long. Resolves when it has ended. */
export async function endServerProcess(child: ChildProcess): Promise<void> {
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
