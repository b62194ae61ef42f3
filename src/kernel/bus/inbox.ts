import type { RecordedEvent } from '../core/event.ts';
import { type LogPosition, positionIn } from '../core/log-position.ts';

/** Events in the order of handling, and how far the log was searched for them. */
interface Segment {
  readonly events: readonly RecordedEvent[];
  /** How many of them were taken. */
  taken: number;
  /** The chain positions that are covered once all of them are. */
  readonly covers: Record<number, number>;
}

/**
 * What a consumer has fetched and not yet taken: a bounded queue of segments. `fetched` is where the next fetch goes on;
 * a segment is only added when it continues there.
 */
export interface Inbox {
  readonly size: number;
  readonly fetched: LogPosition;
  /** What is handled once everything taken so far is. */
  readonly position: LogPosition;
  /** Adds a stretch of one chain when it is surely next; false when there is a gap and the log has to be read. */
  offer(chain: number, first: number, last: number, events: readonly RecordedEvent[]): boolean;
  /** Adds a page of the log that was read from `fetched`; what was fetched before is dropped, should the page repeat it. */
  add(events: readonly RecordedEvent[], next: LogPosition): void;
  /** Takes up to `max` events; the position is what is handled once these are. */
  take(max: number): { readonly events: readonly RecordedEvent[]; readonly position: LogPosition } | undefined;
  /** Forgets everything and goes on from a position. */
  reset(position: LogPosition): void;
}

export function createInbox(start: LogPosition): Inbox {
  let segments: Segment[] = [];
  let size = 0;
  let fetched: Record<number, number> = { ...start };
  let taken: Record<number, number> = { ...start };

  const append = (events: readonly RecordedEvent[], covers: LogPosition): void => {
    Object.assign(fetched, covers);
    if (events.length > 0) {
      segments.push({ events, taken: 0, covers: { ...covers } });
      size += events.length;
    } else {
      Object.assign(segments.at(-1)?.covers ?? taken, covers);
    }
  };

  const isNew = ({ chain, chainPosition }: RecordedEvent): boolean => chainPosition > positionIn(fetched, chain);

  const takeFrom = (segment: Segment, max: number, into: RecordedEvent[]): void => {
    const end = Math.min(segment.events.length, segment.taken + max);
    for (let i = segment.taken; i < end; i++) {
      const event = segment.events[i]!;
      into.push(event);
      taken[event.chain] = event.chainPosition;
    }
    segment.taken = end;
    if (end === segment.events.length) Object.assign(taken, segment.covers);
  };

  return {
    get size() {
      return size;
    },
    get fetched() {
      return fetched;
    },
    get position() {
      return { ...taken };
    },
    offer: (chain, first, last, events) => {
      const at = positionIn(fetched, chain);
      if (last <= at) return true;
      if (first > at + 1) return false;
      append(first === at + 1 ? events : events.filter(isNew), { [chain]: last });
      return true;
    },
    add: (events, next) => append(events.filter(isNew), next),
    take: (max) => {
      if (segments.length === 0) return undefined;
      const events: RecordedEvent[] = [];
      let done = 0;
      for (const segment of segments) {
        takeFrom(segment, max - events.length, events);
        if (segment.taken < segment.events.length) break;
        done += 1;
      }
      segments = segments.slice(done);
      size -= events.length;
      return { events, position: { ...taken } };
    },
    reset: (position) => {
      segments = [];
      size = 0;
      fetched = { ...position };
      taken = { ...position };
    },
  };
}
