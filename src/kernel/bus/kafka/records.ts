import type { RecordsBatch } from '@platformatic/kafka';
import type { IncomingMessage } from './cloud-event.ts';

const IS_CONTROL = 0x20;

/** The messages of a partition from an offset on, and where to go on: a broker answers with whole batches, which may begin before it. */
export function messagesFrom(
  { topic, partition, offset: from }: Pick<IncomingMessage, 'topic' | 'partition' | 'offset'>,
  batches: readonly RecordsBatch[],
): { readonly messages: readonly IncomingMessage[]; readonly nextOffset: number } {
  const messages: IncomingMessage[] = [];
  let nextOffset = from;
  for (const { firstOffset, firstTimestamp, lastOffsetDelta, attributes, records } of batches) {
    const base = Number(firstOffset);
    nextOffset = Math.max(nextOffset, base + lastOffsetDelta + 1);
    if ((attributes & IS_CONTROL) !== 0) continue;
    for (const { offsetDelta, timestampDelta, key, value, headers } of records) {
      const offset = base + offsetDelta;
      if (offset < from) continue;
      const timestamp = Number(firstTimestamp + timestampDelta);
      messages.push({ topic, partition, offset, timestamp, key, value, headers });
    }
  }
  return { messages, nextOffset };
}
