import { LRUCache } from 'lru-cache';
import type { Clock } from '../../core/clock.ts';
import type { RecordedEvent } from '../../core/event.ts';
import { uuidTime } from '../../core/ids.ts';
import type { LogPosition } from '../../core/log-position.ts';
import type { LogPage } from '../store.ts';
import type { SealedLog } from './sealed-log.ts';

/** A log, as the auditor of everything reads it. */
export interface ReadableLog extends SealedLog {
  head(): Promise<LogPosition>;
}

/** One of several logs. */
export interface LogPart {
  /** Tells it from the others, for good: positions that are kept name it. From 0. */
  readonly number: number;
  readonly log: ReadableLog;
}

/** Chains have numbers below this within one log. */
const CHAINS = 2 ** 32;

/** The event as a reader of several logs has it: its chain is told from those of the other logs. */
export function marked(event: RecordedEvent, part: number): RecordedEvent {
  return part === 0 ? event : { ...event, chain: event.chain + part * CHAINS };
}

/** The other way round. */
export function unmarked(event: RecordedEvent): { readonly event: RecordedEvent; readonly part: number } {
  const part = Math.floor(event.chain / CHAINS);
  return { event: part === 0 ? event : { ...event, chain: event.chain % CHAINS }, part };
}

function markedPosition(position: LogPosition, part: number): LogPosition {
  return Object.fromEntries(Object.entries(position).map(([chain, at]) => [Number(chain) + part * CHAINS, at]));
}

function positionOf(part: number, position: LogPosition): LogPosition {
  const own = Object.entries(position).filter(([chain]) => Math.floor(Number(chain) / CHAINS) === part);
  return Object.fromEntries(own.map(([chain, at]) => [Number(chain) % CHAINS, at]));
}

/**
 * Clocks of two databases may differ, and a commit may take, by so much: a cause that young is waited for when it was not
 * seen. What waits comes with a later page.
 */
const HOLD_MS = 10_000;
/** Events that are remembered as seen; an effect comes soon after its cause. */
const MAX_SEEN = 200_000;

/**
 * Several logs as one: each in its own order, and a cause before its effects. Nothing else orders events of different databases:
 * of those that may come next it is the one with the earliest time.
 */
export function joinLogs(parts: readonly LogPart[], clock: Clock): ReadableLog {
  const seen = new LRUCache<string, true>({ max: MAX_SEEN });
  const origins = new WeakMap<RecordedEvent, { readonly log: ReadableLog; readonly event: RecordedEvent }>();

  const mark = (event: RecordedEvent, { number, log }: LogPart): RecordedEvent => {
    const copy = { ...marked(event, number) };
    origins.set(copy, { log, event });
    return copy;
  };

  return {
    head: async () => {
      const heads = await Promise.all(parts.map(async ({ number, log }) => markedPosition(await log.head(), number)));
      return Object.assign({}, ...heads);
    },
    readLog: async (after, { limit }) => {
      const readAt = clock.now();
      const pages = await Promise.all(
        parts.map(async ({ number, log }) => log.readLog(positionOf(number, after), { limit })),
      );
      const { order, counts } = inOrder(pages, (id) => seen.has(id), limit, readAt);
      const next: Record<number, number> = { ...after };
      for (const [i, { events, next: end, atEnd }] of pages.entries()) {
        const taken = events.slice(0, counts[i]!);
        const isWhole = atEnd && taken.length === events.length;
        const reached = isWhole ? end : Object.fromEntries(taken.map((one) => [one.chain, one.chainPosition]));
        Object.assign(next, markedPosition(reached, parts[i]!.number));
      }
      const events = order.map(({ event, page }) => mark(event, parts[page]!));
      for (const { id } of events) seen.set(id, true);
      return { events, next, atEnd: events.length < limit };
    },
    check: (event) => {
      const { log, event: original } = origins.get(event)!;
      return log.check(original);
    },
  };
}

type Page = Pick<LogPage, 'events' | 'atEnd'>;

/**
 * Merges pages. It ends before what may be the effect of something that is on none of them yet.
 * @param isSeen whether an event, by its id, was on a page before
 * @param readAt when the pages were read, milliseconds since 1970
 * @returns the events with the numbers of their pages, and how many are of each
 */
export function inOrder(
  pages: readonly Page[],
  isSeen: (id: string) => boolean,
  limit: number,
  readAt: number,
): { readonly order: readonly { readonly event: RecordedEvent; readonly page: number }[]; readonly counts: number[] } {
  const counts = pages.map(() => 0);
  const waiting = new Set(pages.flatMap(({ events }) => events.map(({ id }) => id)));
  /** Everything before it is on the pages, or was. */
  const horizons = pages.map(({ events, atEnd }) => (atEnd ? readAt : events.at(-1)!.time) - HOLD_MS);
  const mayBeUnread = (cause: string, page: number): boolean => {
    const time = uuidTime(cause);
    return time !== undefined && horizons.some((horizon, other) => other !== page && time >= horizon);
  };
  const isReady = ({ metadata: { causationid } }: RecordedEvent, page: number): boolean => {
    if (causationid === undefined || isSeen(causationid) || taken.has(causationid)) return true;
    return !waiting.has(causationid) && !mayBeUnread(causationid, page);
  };
  const taken = new Set<string>();
  const order: { event: RecordedEvent; page: number }[] = [];
  while (order.length < limit) {
    let next: { event: RecordedEvent; page: number } | undefined;
    for (const [page, { events }] of pages.entries()) {
      const event = events[counts[page]!];
      if (event === undefined || (next !== undefined && next.event.time <= event.time)) continue;
      if (isReady(event, page)) next = { event, page };
    }
    if (next === undefined) break;
    order.push(next);
    counts[next.page]! += 1;
    waiting.delete(next.event.id);
    taken.add(next.event.id);
  }
  return { order, counts };
}
