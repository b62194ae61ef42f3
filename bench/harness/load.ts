import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { LoadCommand, LoadOptions, LoadReport } from '../load/protocol.ts';

const PROGRAM = join(import.meta.dirname, '../load/main.ts');

/** A load on a server, from a process of its own. */
export interface RunningLoad {
  readonly pid: number;
  /** Forgets the durations so far. */
  measure(): void;
  /** Ends it after what is under way. @throws Error when its process died */
  stop(): Promise<LoadReport>;
  /** Ends its process at once, if it still runs. */
  kill(): void;
}

export function startLoad(options: LoadOptions): RunningLoad {
  const child = fork(PROGRAM, { execArgv: [] });
  const tell = (command: LoadCommand): void => void child.send(command);
  tell({ type: 'start', options });
  return {
    pid: child.pid!,
    measure: () => tell({ type: 'measure' }),
    stop: async () => {
      const report = reportOf(child);
      tell({ type: 'stop' });
      return report;
    },
    kill: () => void child.kill('SIGKILL'),
  };
}

async function reportOf(child: ChildProcess): Promise<LoadReport> {
  const died = once(child, 'exit').then(([code]) => {
    throw new Error(`the load ended with code ${code} before it reported`);
  });
  const [report] = await Promise.race([once(child, 'message'), died]);
  // It ends by itself now.
  died.catch(() => undefined);
  return report as LoadReport;
}
