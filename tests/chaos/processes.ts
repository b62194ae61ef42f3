import { execFile } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';

const LEAST_PORT = 12_000;
const MOST_PORT = 32_000;

interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
}

/** Every process of this machine. */
async function processes(): Promise<readonly ProcessEntry[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-ww', '-o', 'pid=,ppid=,args=']);
  return stdout.split('\n').flatMap((line) => {
    const found = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line);
    return found === null ? [] : [{ pid: Number(found[1]), parent: Number(found[2]), command: found[3]! }];
  });
}

/** Whether the process runs, and its command line contains this text: its number may be another program's by now. */
export async function runsAs(pid: number, text: string): Promise<boolean> {
  return (await processes()).some((entry) => entry.pid === pid && entry.command.includes(text));
}

/** The postmaster of the data folder and its children; empty when none runs. */
export async function postgresOf(dataDir: string): Promise<readonly number[]> {
  const text = await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8').catch(() => '');
  const postmaster = Number.parseInt(text, 10);
  const all = await processes();
  // The file outlives a server that was killed, and its number may be another program's by now.
  const runs = all.some(({ pid, command }) => pid === postmaster && command.includes(join(dataDir, 'postgres')));
  return runs ? [postmaster, ...all.filter(({ parent }) => parent === postmaster).map(({ pid }) => pid)] : [];
}

/** Sends the signal to each that still runs. */
export function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

/**
 * Ports of 127.0.0.1 that are free now, each another one. They are none of those that the system gives to clients: while a
 * server is down, a client that comes from its port would keep it from starting again.
 */
export async function freePorts(count: number): Promise<readonly number[]> {
  const found = new Set<number>();
  while (found.size < count) {
    const port = randomInt(LEAST_PORT, MOST_PORT);
    if (!found.has(port) && (await isFree(port))) found.add(port);
  }
  return [...found];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
