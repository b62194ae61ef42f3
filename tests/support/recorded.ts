import type { NewEvent } from '#kernel/core/decider.ts';
import { type RecordedEvent, traceparentFor } from '#kernel/core/event.ts';
import { namedUuid } from '#kernel/core/ids.ts';
import { NOW } from './given.ts';

/** Events as they would stand in the log: one stream, from position `first` on, a millisecond apart. */
export function recorded(
  aggregateType: string,
  aggregateId: string,
  events: readonly NewEvent[],
  first = 1,
): readonly RecordedEvent[] {
  return events.map(({ type, data }, i) => {
    const streamPosition = first + i;
    const id = namedUuid('event', aggregateType, aggregateId, String(streamPosition));
    const metadata = { correlationid: aggregateId, traceparent: traceparentFor('a'.repeat(32), id) };
    const place = { aggregateType, aggregateId, streamPosition, chain: 1, chainPosition: streamPosition };
    return { id, type, version: 1, ...place, time: NOW + i, data, metadata };
  });
}
