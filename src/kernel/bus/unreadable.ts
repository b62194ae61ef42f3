import type { RecordedEvent } from '../core/event.ts';
import type { Place } from './topology.ts';

/**
 * Stands in the place of a message that is no event of ours, so that it goes the way of every message that cannot be
 * handled: to the dead letters, with what it held.
 */
const UNREADABLE = 'caudal.unreadable';

/** What is kept of a message that cannot be read. */
export interface UnreadableMessage {
  readonly problem: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: string | null;
  readonly headers: Readonly<Record<string, string>>;
  /** Base64 of its beginning. */
  readonly value: string | null;
  /** Of the whole value. */
  readonly bytes: number;
}

/**
 * @param id a UUID, the same whenever the message is read
 * @param time when it was written, milliseconds since 1970
 */
export function unreadableEvent(
  id: string,
  time: number,
  message: UnreadableMessage,
): RecordedEvent<UnreadableMessage> {
  return {
    id,
    type: UNREADABLE,
    version: 1,
    aggregateType: 'message',
    aggregateId: id,
    streamPosition: 1,
    chain: 0,
    chainPosition: 0,
    sequence: 0,
    time,
    data: message,
    metadata: { correlationid: id, traceparent: `00-${id.replaceAll('-', '')}-${id.slice(19, 23)}${id.slice(24)}-00` },
  };
}

/** What stands in the place of an event; undefined for an event. */
export function unreadableMessage(event: RecordedEvent): UnreadableMessage | undefined {
  return event.type === UNREADABLE ? (event.data as UnreadableMessage) : undefined;
}

/** Why a message could not be read; undefined for an event. */
export function unreadableProblem(event: RecordedEvent): string | undefined {
  return unreadableMessage(event)?.problem;
}

/** Where the message stands that could not be read; undefined for an event. Without a key it stands for itself alone. */
export function unreadablePlace(event: RecordedEvent): Place | undefined {
  const message = unreadableMessage(event);
  return message && { topic: message.topic, partition: message.partition, key: message.key ?? event.id };
}
