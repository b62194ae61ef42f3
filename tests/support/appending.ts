import type { TestContext } from 'node:test';
import { createIdSource } from '#kernel/core/ids.ts';
import type { PendingEvent, Store, StreamAppend, StreamRef, Writer } from '#kernel/event-store/store.ts';
import { onEnd } from './cleanup.ts';

const ids = createIdSource();
const METADATA = {
  correlationid: '01900000-0000-7000-8000-000000000000',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
};

/** A new stream. @param id default: one made now */
export function newStream(type = 'counter', id = ids.uuid()): StreamRef {
  return { type, id };
}

/** An event that is about to be appended. */
export function pending(data: object = {}, type = 'counter.added', time = Date.now()): PendingEvent {
  return { id: ids.uuid(), type, version: 1, time, data, metadata: METADATA };
}

/** Events for the end of a stream that stands at `expectedPosition`. */
export function append(stream: StreamRef, expectedPosition: number, ...events: PendingEvent[]): StreamAppend {
  return { stream, expectedPosition, events: events.length === 0 ? [pending()] : events };
}

/** Opens a writer, and closes it after the test. */
export async function openWriter(t: TestContext, store: Store, name = 'writer'): Promise<Writer> {
  const writer = await store.openWriter(name);
  onEnd(t, () => writer.close());
  return writer;
}

/** The whole log, read in one page. */
export async function wholeLog(store: Store) {
  return (await store.readLog({}, { limit: 100_000 })).events;
}
