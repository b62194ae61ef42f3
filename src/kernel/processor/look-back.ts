import type { RecordedEvent } from '../core/event.ts';
import type { Store, StreamRef } from '../event-store/store.ts';
import type { BatchDecision } from './decide.ts';
import type { MessageItem } from './items.ts';
import type { LookBack, Reaction } from './service.ts';

/** A message, and what it leads to. */
export interface Planned {
  readonly item: MessageItem;
  readonly reactions: readonly Reaction[];
}

const PAGE = 500;

/**
 * For reactions that may repeat a request: what their stream did about it since then.
 * @param before ends with the batch that is being committed: what it did must be found too
 */
export async function lookBack(
  planned: readonly Planned[],
  store: Store,
  before: Promise<unknown> | undefined,
): Promise<ReadonlyMap<Reaction, RecordedEvent>> {
  const found = new Map<Reaction, RecordedEvent>();
  for (const { item, reactions } of planned) {
    for (const reaction of reactions) {
      const search = searchOf(reaction, item);
      if (search === undefined) continue;
      await before;
      const first = await firstRequest(item.event, search, store);
      const stream = { type: reaction.aggregate, id: reaction.id };
      const match = await findBackwards(stream, search, first?.sequence ?? 0, store);
      if (match !== undefined) found.set(reaction, match);
    }
  }
  return found;
}

function searchOf({ lookBack }: Reaction, { retry }: MessageItem): LookBack | undefined {
  return lookBack?.repeated || retry !== undefined ? lookBack : undefined;
}

/** Undefined when the stream that asks is not in this store: all of the other is searched then. */
async function firstRequest(
  { aggregateType, aggregateId }: RecordedEvent,
  { isRequest }: LookBack,
  store: Store,
): Promise<RecordedEvent | undefined> {
  for (let from = 1; ; from += PAGE) {
    const page = await store.readStream({ type: aggregateType, id: aggregateId }, { from, limit: PAGE });
    const found = page.find(isRequest);
    if (found !== undefined || page.length < PAGE) return found;
  }
}

async function findBackwards(
  ref: StreamRef,
  { isAnswer }: LookBack,
  after: number,
  store: Store,
): Promise<RecordedEvent | undefined> {
  let from = Number.MAX_SAFE_INTEGER;
  for (;;) {
    const page = await store.readStream(ref, { from, limit: PAGE, backwards: true });
    for (const event of page) {
      if (event.sequence! < after) return undefined;
      if (isAnswer(event)) return event;
    }
    if (page.length < PAGE) return undefined;
    from = page.at(-1)!.streamPosition - 1;
  }
}

/** Two attempts at one request may meet in a batch: the second then finds what the first has just decided. */
export function earlierInBatch(
  reaction: Reaction,
  item: MessageItem,
  decision: BatchDecision,
): RecordedEvent | undefined {
  const search = searchOf(reaction, item);
  if (search === undefined) return undefined;
  const { aggregate, id } = reaction;
  return decision.events.findLast(
    (event) => event.aggregateId === id && event.aggregateType === aggregate && search.isAnswer(event),
  );
}
