import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { RelayAnswer, RelayCommand } from '../relay/protocol.ts';

const PROGRAM = join(import.meta.dirname, '../relay/main.ts');
const LIMIT_MS = 600_000;

/** The relay of a store, in a process of its own. */
export interface RelayProcess {
  readonly pid: number;
  /** Starts the relay. @returns seconds until every event of the store had arrived */
  carryAll(): Promise<number>;
  /** Stops it, and waits until its process has ended. */
  close(): Promise<void>;
  /** Ends its process at once, if it still runs. */
  kill(): void;
}

/**
 * Starts the process, which does not carry anything yet.
 * @param env its settings
 * @param profile a folder for a CPU profile, written when it stops
 * @throws Error when it does not start, and from any call when the process dies or takes too long
 */
export async function openRelayProcess(
  env: Readonly<Record<string, string>>,
  profile: string | undefined,
): Promise<RelayProcess> {
  const profiling = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
  const child = fork(PROGRAM, { env: { ...process.env, ...env }, execArgv: [...process.execArgv, ...profiling] });
  const ended = once(child, 'exit');
  try {
    await answerOf(child, 'opened');
  } catch (cause) {
    child.kill('SIGKILL');
    throw cause;
  }
  const ask = <Type extends RelayAnswer['type']>(command: RelayCommand, type: Type) => {
    const answer = answerOf(child, type);
    child.send(command);
    return answer;
  };
  return {
    pid: child.pid!,
    carryAll: async () => (await ask({ type: 'start' }, 'arrived')).seconds,
    close: async () => {
      await ask({ type: 'close' }, 'closed');
      await ended;
    },
    kill: () => void child.kill('SIGKILL'),
  };
}

async function answerOf<Type extends RelayAnswer['type']>(
  child: ChildProcess,
  type: Type,
): Promise<Extract<RelayAnswer, { type: Type }>> {
  const signal = AbortSignal.timeout(LIMIT_MS);
  const died = once(child, 'exit', { signal }).then(([code, how]) => {
    throw new Error(`the process of the relay ended with ${how ?? `code ${code}`}`);
  });
  // It ends some time after the answer.
  died.catch(() => undefined);
  const [answer]: RelayAnswer[] = await Promise.race([once(child, 'message', { signal }), died]);
  if (answer?.type === 'failed') throw new Error(`the relay failed: ${answer.message}`);
  if (answer?.type !== type) throw new Error(`the relay answered "${answer?.type}", not "${type}"`);
  return answer as Extract<RelayAnswer, { type: Type }>;
}
