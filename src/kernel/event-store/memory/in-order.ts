import { BatchBeforeFailedError } from '../../core/errors.ts';
import type { Commit, Committed } from '../store.ts';

/**
 * Makes commits follow one another as a `Writer` promises it: one that is handed in while another is under way begins
 * when that has taken effect, and fails when that fails.
 */
export function inOrder(commit: (batch: Commit) => Promise<Committed>): (batch: Commit) => Promise<Committed> {
  let underway: Promise<Committed> | undefined;

  const after = async (before: Promise<Committed>, batch: Commit): Promise<Committed> => {
    await before.catch((cause: unknown) => {
      throw new BatchBeforeFailedError('the batch before this one took no effect', { cause });
    });
    return commit(batch);
  };

  return (batch) => {
    const own = underway === undefined ? commit(batch) : after(underway, batch);
    underway = own;
    const ended = (): void => {
      if (underway === own) underway = undefined;
    };
    own.then(ended, ended);
    return own;
  };
}
