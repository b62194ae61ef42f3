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

/** Events read at once: few at first, since most answers are among the latest. */
const FIRST_PAGE = 50;
const PAGE = 500;
/** One after another they would take so long that callers ask again. */
const SEARCHES_AT_ONCE = 16;

/**
 * What became of the requests whose partitions are owned here: by `LookBack.key`, whether they were answered. Whoever has
 * handled an earlier attempt need not search for what it led to; without this a service that has fallen behind, so that its
 * callers ask again, would fall behind more and more. To be cleared when the partitions owned change.
 */
export interface KnownRequests {
  get(key: string): boolean | undefined;
  set(key: string, isAnswered: boolean): unknown;
  clear(): void;
}

/** What may already be known, and what is still being committed. */
export interface Memory {
  readonly known: Pick<KnownRequests, 'get'>;
  /** The batch under way, whose requests are not among those known yet. */
  readonly before?: { readonly requests: ReadonlyMap<string, boolean>; readonly ended: Promise<unknown> } | undefined;
}

/**
 * For reactions that may repeat a request: those that their stream has answered since it was made first.
 */
export async function lookBack(
  planned: readonly Planned[],
  store: Store,
  { known, before }: Memory,
): Promise<ReadonlySet<Reaction>> {
  const found = new Set<Reaction>();
  const searches: (() => Promise<void>)[] = [];
  for (const { item, reactions } of planned) {
    for (const reaction of reactions) {
      const search = searchOf(reaction, item);
      if (search === undefined) continue;
      const answered = before?.requests.get(search.key) ?? known.get(search.key);
      if (answered) found.add(reaction);
      else if (answered === undefined)
        searches.push(async () => {
          if (await isAnswered(reaction, item, search, store)) found.add(reaction);
        });
    }
  }
  // What is being committed must be found too.
  if (searches.length > 0) await before?.ended;
  for (let i = 0; i < searches.length; i += SEARCHES_AT_ONCE)
    await Promise.all(searches.slice(i, i + SEARCHES_AT_ONCE).map((search) => search()));
  return found;
}

async function isAnswered(reaction: Reaction, item: MessageItem, search: LookBack, store: Store): Promise<boolean> {
  const first = await firstRequest(item.event, search, store);
  const match = await findBackwards({ type: reaction.aggregate, id: reaction.id }, search, first?.sequence ?? 0, store);
  return match !== undefined;
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
  for (let from = 1, limit = FIRST_PAGE; ; from += limit, limit = PAGE) {
    const page = await store.readStream({ type: aggregateType, id: aggregateId }, { from, limit });
    const found = page.find(isRequest);
    if (found !== undefined || page.length < limit) return found;
  }
}

async function findBackwards(
  ref: StreamRef,
  { isAnswer }: LookBack,
  after: number,
  store: Store,
): Promise<RecordedEvent | undefined> {
  let from = Number.MAX_SAFE_INTEGER;
  for (let limit = FIRST_PAGE; ; limit = PAGE) {
    const page = await store.readStream(ref, { from, limit, backwards: true });
    for (const event of page) {
      if (event.sequence! < after) return undefined;
      if (isAnswer(event)) return event;
    }
    if (page.length < limit) return undefined;
    from = page.at(-1)!.streamPosition - 1;
  }
}

/** Two attempts at one request may meet in a batch: the second then finds what the first has just decided. */
export function isAnsweredInBatch(reaction: Reaction, item: MessageItem, decision: BatchDecision): boolean {
  const search = searchOf(reaction, item);
  if (search === undefined) return false;
  const { aggregate, id } = reaction;
  return decision.events.some(
    (event) => event.aggregateId === id && event.aggregateType === aggregate && search.isAnswer(event),
  );
}
