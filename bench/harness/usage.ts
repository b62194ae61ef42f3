import { readdirSync, readFileSync } from 'node:fs';

/** Processor time in clock ticks; on Linux a tick is 10 ms everywhere (USER_HZ, see proc(5)). */
const TICKS_PER_SECOND = 100;
const KIB_PER_MIB = 1024;

/** What a process and its children have used. Undefined where there is no /proc: elsewhere than on Linux. */
export interface Usage {
  /** Seconds of processor time of the process itself. */
  readonly own: number;
  /** Of its children, those that ended included. */
  readonly children: number;
}

interface ProcessStat {
  readonly parent: number;
  readonly own: number;
  readonly ended: number;
}

/**
 * Reads what the process has used so far.
 * @param except a child that is not counted, nor what became of its own children
 */
export function usageOf(pid: number, except?: number): Usage | undefined {
  const process = statOf(pid);
  if (process === undefined) return undefined;
  let children = process.ended;
  for (const entry of readdirSync('/proc')) {
    const child = /^\d+$/.test(entry) && Number(entry) !== except ? statOf(Number(entry)) : undefined;
    if (child?.parent === pid) children += child.own + child.ended;
  }
  return { own: process.own, children };
}

/** The most memory that the process ever had resident, MiB. */
export function peakMemoryMib(pid: number): number | undefined {
  const kib = /VmHWM:\s+(\d+) kB/.exec(readProc(pid, 'status') ?? '')?.[1];
  return kib === undefined ? undefined : Math.round(Number(kib) / KIB_PER_MIB);
}

/** Fields 4 and 14 to 17 of /proc/<pid>/stat, counted after the name, which may hold spaces: see proc_pid_stat(5). */
function statOf(pid: number): ProcessStat | undefined {
  const text = readProc(pid, 'stat');
  if (text === undefined) return undefined;
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const seconds = (first: number): number => (fields[first]! + fields[first + 1]!) / TICKS_PER_SECOND;
  return { parent: fields[1]!, own: seconds(11), ended: seconds(13) };
}

/** Undefined when the process has ended. */
function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch (cause) {
    if (['ENOENT', 'ESRCH'].includes((cause as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw cause;
  }
}
