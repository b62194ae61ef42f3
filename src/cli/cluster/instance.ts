import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { logSize, readLog } from '#kernel/postgres/embedded/server-log.ts';
import type { Role } from '#src/config.ts';
import type { Welcome } from '../commands/start.ts';
import { CliError } from '../failure.ts';

const PROGRAM = join(import.meta.dirname, '../main.ts');
/** Longer than the others take to notice, 5 s by PostgreSQL and 6 s by Kafka: whoever looks on sees them take over, and give back. */
const FIRST_PAUSE_MS = 10_000;
const LONGEST_PAUSE_MS = 80_000;
/** One that ran for so long may be started again after the first pause. */
const STEADY_MS = 60_000;
/** It ends itself when a stop takes too long; one that cannot even do that is killed after so much longer. */
const STOP_GRACE_MS = 3_000;

/** How a process of the cluster is at this moment. */
export interface Life {
  readonly state: 'starting' | 'running' | 'stopping' | 'ended';
  readonly pid?: number;
  /** Where it answers. */
  readonly url?: string;
  /** Its name in the store; that of the process before while there is no other. */
  readonly member?: string;
  /** How it ended, and why when it said so. */
  readonly ending?: string;
  /** When it is started again, by `performance.now()`. */
  readonly againAt?: number;
}

export interface InstanceSettings {
  readonly name: string;
  readonly role: Role;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly logFile: string;
  /** What a process may take to stop, milliseconds. */
  readonly stopLimitMs: number;
}

/** A process of the cluster, started again whenever it ends. It ends with this process, however that ends: see `caudal start`. */
export interface Instance {
  readonly name: string;
  readonly role: Role;
  readonly logFile: string;
  readonly life: Life;
  readonly restarts: number;
  /** Resolves when it runs. @throws CliError with its own reason when it ends by itself instead */
  start(): Promise<void>;
  /** Asks it to stop, and waits until it has ended. */
  stop(): Promise<void>;
  /** Ends it at once. */
  kill(): Promise<void>;
}

/** An instance that does not run yet. */
export function createInstance(settings: InstanceSettings): Instance {
  const { name, role, logFile } = settings;
  let life: Life = { state: 'starting' };
  let restarts = 0;
  let child: ChildProcess | undefined;
  let ended: Promise<void> = Promise.resolve();
  let stopping = false;
  let pauseMs = FIRST_PAUSE_MS;
  let timer: NodeJS.Timeout | undefined;

  /** Resolves when the process runs or has ended. */
  const launch = async (): Promise<void> => {
    const logStart = await logSize(logFile);
    if (stopping) return;
    const startedAt = performance.now();
    const launched = spawnStart(settings);
    child = launched;
    life = { state: 'starting', ...pidOf(launched), ...memberOf(life) };
    ended = endOf(launched).then(async (how) => {
      const reason = lastComplaint(await readLog(logFile, logStart).catch(() => ''));
      settle(reason === undefined ? how : `${how}: ${reason}`, performance.now() - startedAt);
    });
    const welcomed = once(launched, 'message').then(([message]) => {
      const { url, instance } = message as Welcome;
      life = { ...life, state: stopping ? 'stopping' : 'running', url, member: instance };
    });
    await Promise.race([welcomed, ended]);
  };

  const settle = (ending: string, ranMs: number): void => {
    life = { state: 'ended', ending, ...memberOf(life) };
    if (stopping) return;
    if (ranMs >= STEADY_MS) pauseMs = FIRST_PAUSE_MS;
    life = { ...life, againAt: performance.now() + pauseMs };
    timer = setTimeout(restart, pauseMs);
    pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
  };

  const restart = (): void => {
    restarts += 1;
    launch().catch((error: Error) => settle(error.message, 0));
  };

  const end = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
    stopping = true;
    clearTimeout(timer);
    if (life.state !== 'ended') life = { ...life, state: 'stopping' };
    child?.kill(signal);
    const killer = setTimeout(() => child?.kill('SIGKILL'), settings.stopLimitMs + STOP_GRACE_MS);
    await ended;
    clearTimeout(killer);
  };

  return {
    name,
    role,
    logFile,
    get life() {
      return life;
    },
    get restarts() {
      return restarts;
    },
    start: async () => {
      await launch();
      if (life.state === 'ended' && !stopping)
        throw new CliError(`${name} does not start: it ended by ${life.ending} (log: ${logFile})`);
    },
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
  };
}

function spawnStart({ env, logFile }: InstanceSettings): ChildProcess {
  const log = openSync(logFile, 'a', 0o600);
  try {
    // In a process group of its own: the terminal's Ctrl-C is for the cluster, which stops its parts in order.
    return fork(PROGRAM, ['start'], { env, detached: true, stdio: ['ignore', 'ignore', log, 'ipc'] });
  } finally {
    closeSync(log);
  }
}

/** Resolves with how the process ended. */
function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ?? `code ${code}`));
    // It could not be started at all; what else goes wrong with it shows in its end.
    child.on('error', (error) => {
      if (child.pid === undefined) resolve(error.message);
    });
  });
}

/** What it told people last: that is not a log line. */
function lastComplaint(log: string): string | undefined {
  return [...log.matchAll(/^caudal: (.+)$/gm)].at(-1)?.[1];
}

function pidOf({ pid }: ChildProcess): Pick<Life, 'pid'> {
  return pid === undefined ? {} : { pid };
}

function memberOf({ member }: Life): Pick<Life, 'member'> {
  return member === undefined ? {} : { member };
}
