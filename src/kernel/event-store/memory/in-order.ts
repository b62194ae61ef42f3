import { BatchBeforeFailedError } from '../../core/errors.ts';
import type { Commit, Committed, Writer } from '../store.ts';

/** Makes commits follow one another, and depend on one another, as `Writer` promises it. */
export function inOrder(commit: (batch: Commit) => Promise<Committed>): Writer['commit'] {
  let underway: Promise<Committed> | undefined;

  const inTurn = async (batch: Commit, before: Promise<unknown> | undefined): Promise<Committed> => {
    await before?.catch(() => undefined);
    await batch.after?.catch((cause: unknown) => {
      throw new BatchBeforeFailedError('the batch before this one took no effect', { cause });
    });
    return commit(batch);
  };

  return (batch) => {
    const own = underway === undefined && batch.after === undefined ? commit(batch) : inTurn(batch, underway);
    underway = own;
    const ended = (): void => {
      if (underway === own) underway = undefined;
    };
    own.then(ended, ended);
    return own;
  };
}
