import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

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

/** The gateway simulator that a server started; undefined while none runs. */
export async function simulatorOf(serverPid: number): Promise<number | undefined> {
  const found = (await processes()).find(
    ({ parent, command }) => parent === serverPid && command.includes('simulator/main.ts'),
  );
  return found?.pid;
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
