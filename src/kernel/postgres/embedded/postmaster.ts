import { execFile } from 'node:child_process';
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { processExists } from './lock-file.ts';

const POLL_MS = 50;
const PROGRESS_EVERY_MS = 5_000;
const CONNECT_TIMEOUT_MS = 10_000;

/** A running PostgreSQL server, as its postmaster.pid tells. */
export interface Postmaster {
  pid: number;
  port: number;
}

/**
 * The server that runs on `dataDir`; undefined when there is none. The file postmaster.pid outlives a server that was killed, and by
 * then its process id may belong to another program, or the server was killed before it wrote one: such a file is removed, for
 * PostgreSQL would refuse to start. A server that is just dying is none, and its file stays: it tells that it was killed.
 */
export async function runningPostmaster(dataDir: string): Promise<Postmaster | undefined> {
  const postmaster = await readPidFile(dataDir);
  if (postmaster === undefined) return undefined;
  if (processExists(postmaster.pid)) {
    const command = await commandLineOf(postmaster.pid);
    if (command === undefined) return undefined;
    if (await servesFolder(command, dataDir)) return postmaster;
  } else if (postmaster.pid > 0) return undefined;
  await rm(pidFile(dataDir), { force: true });
  return undefined;
}

/** Whether a server was killed on `dataDir`, or stopped: only a killed one leaves its postmaster.pid. */
export async function wasKilled(dataDir: string): Promise<boolean> {
  return (await readPidFile(dataDir)) !== undefined;
}

/** Lines 1 and 4 of postmaster.pid: the process id and the port. See PostgreSQL's src/include/utils/pidfile.h. */
async function readPidFile(dataDir: string): Promise<Postmaster | undefined> {
  const text = await readFile(pidFile(dataDir), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  if (text === undefined) return undefined;
  const lines = text.split('\n');
  return { pid: Number(lines[0]), port: Number(lines[3]) };
}

function pidFile(dataDir: string): string {
  return join(dataDir, 'postmaster.pid');
}

/** Whether this is the command line of a server on `dataDir`. One whose folder was moved still serves it, under the former name. */
async function servesFolder(command: string, dataDir: string): Promise<boolean> {
  const [, folder] = /^(?:[^\0]*\/)?postgres\0-D\0([^\0]+)\0/.exec(command) ?? [];
  if (folder === undefined) return false;
  const [served, ours] = await Promise.all([stat(folder).catch(() => undefined), stat(dataDir)]);
  return served === undefined || (served.ino === ours.ino && served.dev === ours.dev);
}

/** The arguments of a process, each followed by a zero byte; undefined when it has none, as one that is ending. */
export async function commandLineOf(pid: number): Promise<string | undefined> {
  if (process.platform === 'linux') {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    return command === '' ? undefined : command;
  }
  const ended = { stdout: '' };
  const ps = promisify(execFile)('ps', ['-ww', '-o', 'command=', '-p', String(pid)]);
  const command = (await ps.catch(() => ended)).stdout.trim();
  return command === '' || command.startsWith('(') ? undefined : command.replace(/ -D (.+?) -c /, '\0-D\0$1\0-c\0');
}

/**
 * Waits until the server answers at `url`, and says so every 5 s while it recovers from a crash. False when its process ended
 * before. Throws when the server refuses us for another reason than being busy with its start or its end.
 */
export async function becomesReady(pid: number, url: string, progress: (message: string) => void): Promise<boolean> {
  let nextProgress = Date.now() + PROGRESS_EVERY_MS;
  while (processExists(pid)) {
    const refusal = await tryConnect(url);
    if (refusal === undefined) return true;
    if (Date.now() >= nextProgress) {
      progress(`Waiting for PostgreSQL: ${refusal}`);
      nextProgress += PROGRESS_EVERY_MS;
    }
    await sleep(POLL_MS);
  }
  return false;
}

/** Undefined when the server takes connections, else why it does not do so yet. */
async function tryConnect(url: string): Promise<string | undefined> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  // A server that goes while we leave is what the next look finds; that nobody listens would end the process.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return undefined;
  } catch (error) {
    // 57P03: starting up, in recovery or shutting down. 53300: at its limit of connections, hence running.
    const code = error instanceof pg.DatabaseError ? error.code : undefined;
    const { message } = error as Error;
    if (code === '53300') return undefined;
    if (code === '57P03' || code === undefined) return message;
    throw new Error(`PostgreSQL refuses the connection: ${message}`, { cause: error });
  } finally {
    await client.end();
  }
}

/** Sends the signal, unless the process is gone. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Waits until the process is gone, at most `limitMs`; tells whether it is. */
export async function processEnds(pid: number, limitMs: number): Promise<boolean> {
  const deadline = Date.now() + limitMs;
  while (processExists(pid)) {
    if (Date.now() >= deadline) return false;
    await sleep(POLL_MS);
  }
  return true;
}
