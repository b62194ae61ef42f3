import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { LoadCommand, LoadOptions, LoadReport, ReadOptions, ReadReport, WrittenNote } from '../load/protocol.ts';

const PROGRAMS = join(import.meta.dirname, '../load');
/** After what is under way, which the server itself limits. */
const STOP_LIMIT_MS = 90_000;

/** A load on a server, from a process of its own. */
export interface RunningLoad<Report = LoadReport> {
  readonly pid: number;
  /** Forgets the durations so far. */
  measure(): void;
  /** Ends it after what is under way. @throws Error when its process died, or does not end */
  stop(): Promise<Report>;
  /** Ends its process at once, if it still runs. */
  kill(): void;
}

/** A load of look-ups. */
export interface RunningReads extends RunningLoad<ReadReport> {
  /** Tells it of a payment that was just accepted; nothing once it is to end. */
  written(id: string): void;
}

export function startLoad(options: LoadOptions): RunningLoad {
  return runProgram<LoadOptions, LoadReport>('main.ts', options).load;
}

export function startReads(options: ReadOptions): RunningReads {
  const { load, child } = runProgram<ReadOptions, ReadReport>('read-main.ts', options);
  let ending = false;
  const ended = <T>(how: () => T): T => {
    ending = true;
    return how();
  };
  return {
    ...load,
    stop: () => ended(load.stop),
    kill: () => ended(load.kill),
    written: (id) => {
      if (!ending) child.send({ type: 'written', id } satisfies WrittenNote);
    },
  };
}

function runProgram<Options, Report>(
  program: string,
  options: Options,
): { load: RunningLoad<Report>; child: ChildProcess } {
  const child = fork(join(PROGRAMS, program), { execArgv: [] });
  const tell = (command: LoadCommand<Options>): void => void child.send(command);
  tell({ type: 'start', options });
  const load: RunningLoad<Report> = {
    pid: child.pid!,
    measure: () => tell({ type: 'measure' }),
    stop: async () => {
      const report = reportOf<Report>(child);
      tell({ type: 'stop' });
      const limit = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
      return report.finally(() => clearTimeout(limit));
    },
    kill: () => void child.kill('SIGKILL'),
  };
  return { load, child };
}

async function reportOf<Report>(child: ChildProcess): Promise<Report> {
  const died = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`the load ended with ${signal ?? `code ${code}`} before it reported`);
  });
  const [report] = await Promise.race([once(child, 'message'), died]);
  // It ends by itself now.
  died.catch(() => undefined);
  return report as Report;
}
