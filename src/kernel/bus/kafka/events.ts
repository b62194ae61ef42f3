import type { PartitionRef } from '../group.ts';
import { fromMessage, type IncomingEvent } from './cloud-event.ts';
import { messagesOf, type RecordBatch } from './records.ts';
import type { SentBatch, SentBatches } from './sent-batches.ts';

/** An event, and where it was found. */
interface FoundEvent extends IncomingEvent {
  readonly offset: number;
}

/**
 * The events of batches of a partition. What is none becomes one that says so, see `unreadable.ts`.
 * @param sent where to look first: what this process has sent itself need not be decoded
 */
export function eventsOf(ref: PartitionRef, batches: readonly RecordBatch[], sent: SentBatches): readonly FoundEvent[] {
  return batches.flatMap((batch) => {
    const own = sent.take(ref, batch);
    if (own !== undefined) return eventsSent(own, Number(batch.firstOffset));
    return messagesOf(ref, batch).map((message) => ({ offset: message.offset, ...fromMessage(message) }));
  });
}

function eventsSent({ events, store, topicTag }: SentBatch, firstOffset: number): readonly FoundEvent[] {
  return events.map((event, index) => ({
    offset: firstOffset + index,
    event: { ...event, store },
    chain: `${store}/${event.chain}`,
    writtenFor: topicTag,
  }));
}
