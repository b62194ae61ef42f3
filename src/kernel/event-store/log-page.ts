import type { RecordedEvent } from '../core/event.ts';
import { type LogPosition, positionIn } from '../core/log-position.ts';
import type { LogPage } from './store.ts';

/**
 * The page that can be made of what was read of each chain. It ends with the first chain of which not all was read: what
 * comes next there may belong before what the other chains have.
 * @param found events after `after` in the order of sequence numbers, the first `limit` of each chain
 * @param heads the end of each chain when it was read
 */
export function toLogPage(
  found: readonly RecordedEvent[],
  heads: ReadonlyMap<number, number>,
  after: LogPosition,
  limit: number,
): LogPage {
  const next: Record<number, number> = { ...after };
  for (const [chain, head] of heads) next[chain] = Math.max(head, positionIn(after, chain));
  const lastIndex = firstToFill(found, limit);
  const last = found[lastIndex];
  if (last === undefined) return { events: found, next, atEnd: true };
  const end = lastIndex + 1;
  const beyond = found.slice(end);
  for (const { chain, chainPosition } of beyond.toReversed()) next[chain] = chainPosition - 1;
  next[last.chain] = last.chainPosition;
  return { events: found.slice(0, end), next, atEnd: false, beyond };
}

/** Where the event stands with which a chain has, as the first of all, as many as were read at most; -1: none has. */
function firstToFill(found: readonly RecordedEvent[], limit: number): number {
  const counts = new Map<number, number>();
  return found.findIndex(({ chain }) => {
    const count = (counts.get(chain) ?? 0) + 1;
    counts.set(chain, count);
    return count === limit;
  });
}
