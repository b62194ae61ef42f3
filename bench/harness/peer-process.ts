import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { PeerOptions } from '../peers/peer.ts';
import type { CellOptions, CellReport, LibraryName, PeerAnswer, PeerCommand, Totals } from '../peers/protocol.ts';

const PROGRAM = join(import.meta.dirname, '../peers/main.ts');
const OPEN_LIMIT_MS = 120_000;

/** A tool with its accounts, in a process of its own. */
export interface PeerProcess {
  measure(cell: CellOptions): Promise<CellReport>;
  /** Ends it. */
  close(): Promise<Totals>;
  /** Ends its process at once, if it still runs. */
  kill(): void;
}

/**
 * Starts the process, opens the accounts, and proves that the tool keeps the contract.
 * @throws Error when it does not, and from any call when the process dies or takes too long
 */
export async function openPeerProcess(name: LibraryName, options: PeerOptions): Promise<PeerProcess> {
  const child = fork(PROGRAM);
  try {
    await ask(child, { type: 'open', name, options }, 'opened', OPEN_LIMIT_MS);
  } catch (cause) {
    child.kill('SIGKILL');
    throw cause;
  }
  return {
    measure: async (cell) => {
      const limitMs = OPEN_LIMIT_MS + cell.warmUpMs + cell.seconds * 1000;
      return (await ask(child, { type: 'measure', cell }, 'measured', limitMs)).report;
    },
    close: async () => (await ask(child, { type: 'close' }, 'closed', OPEN_LIMIT_MS)).totals,
    kill: () => void child.kill('SIGKILL'),
  };
}

async function ask<Type extends PeerAnswer['type']>(
  child: ChildProcess,
  command: PeerCommand,
  type: Type,
  limitMs: number,
): Promise<Extract<PeerAnswer, { type: Type }>> {
  const signal = AbortSignal.timeout(limitMs);
  const died = once(child, 'exit', { signal }).then(([code, how]) => {
    throw new Error(`the process of the tool ended with ${how ?? `code ${code}`}`);
  });
  // It ends some time after the answer.
  died.catch(() => undefined);
  const answered = once(child, 'message', { signal });
  child.send(command);
  const [answer]: PeerAnswer[] = await Promise.race([answered, died]);
  if (answer?.type === 'failed') throw new Error(`the tool failed: ${answer.message}`);
  if (answer?.type !== type) throw new Error(`the tool answered "${answer?.type}", not "${type}"`);
  return answer as Extract<PeerAnswer, { type: Type }>;
}
