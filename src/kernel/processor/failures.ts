import { createHash } from 'node:crypto';
import type { PartitionRef } from '../bus/group.ts';
import type { Place } from '../bus/topology.ts';
import type { Clock } from '../core/clock.ts';
import { DataError } from '../core/errors.ts';
import type { RecordedEvent } from '../core/event.ts';
import type { FailedMessage } from '../event-store/store.ts';

/** Attempts at a message before it goes to the dead letters. */
export const MAX_ATTEMPTS = 4;
const FIRST_DELAY_MS = 2000;
const DELAY_FACTOR = 2;
const MAX_DELAY_MS = 30_000;
/** Delays vary by up to this share, so that what failed together does not come back together. */
const JITTER = 0.1;
/** An error text is cut to this length: it is stored with every attempt. */
const MAX_ERROR_LENGTH = 2000;

/** A message kept for another attempt. */
export interface RetryingMessage {
  readonly event: RecordedEvent;
  readonly place: Place;
  /** Attempts made; 0: it only waits behind an earlier message of its key. */
  readonly attempts: number;
  /** Milliseconds since 1970. */
  readonly retryAt: number;
}

/** Reads the messages that wait for another attempt; writes are part of the batch's commit. */
export interface FailureStore {
  /** Those of a consumer's partitions, in the order in which they came: the first `limit`. */
  retrying(consumer: string, partitions: readonly PartitionRef[], limit: number): Promise<readonly RetryingMessage[]>;
}

/** What is noted of a message that failed: its next attempt, or none when it is dead. */
export function describeFailure(
  message: { readonly event: RecordedEvent; readonly place: Place; readonly attempts: number },
  error: Error,
  context: { readonly consumer: string; readonly dlqTopic: string; readonly clock: Clock; readonly random: number },
): FailedMessage {
  const attempts = message.attempts + 1;
  const now = context.clock.now();
  const dead = error instanceof DataError || attempts >= MAX_ATTEMPTS;
  const delay = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * DELAY_FACTOR ** (attempts - 1));
  const retryAt = Math.round(now + delay * (1 + JITTER * (2 * context.random - 1)));
  return {
    consumer: context.consumer,
    eventId: message.event.id,
    topic: message.place.topic,
    partition: message.place.partition,
    key: message.place.key,
    dlqTopic: context.dlqTopic,
    event: message.event,
    attempts,
    error: storable(error.message),
    fingerprint: fingerprintOf(context.consumer, message.event.type, error),
    failedAt: now,
    ...(!dead && { retryAt }),
  };
}

/** A text that jsonb takes: the note of a failure must not be refused itself. */
function storable(text: string): string {
  return text.slice(0, MAX_ERROR_LENGTH).toWellFormed().replaceAll('\u0000', '\ufffd');
}

/** A message that waits behind an earlier one of its key: order is kept, and it has made no attempt of its own. */
export function parkBehind(
  message: { readonly event: RecordedEvent; readonly place: Place },
  until: number,
  context: { readonly consumer: string; readonly dlqTopic: string; readonly clock: Clock },
): FailedMessage {
  const error = new Error('waits behind an earlier message of the same key');
  return {
    ...describeFailure({ ...message, attempts: -1 }, error, { ...context, random: 0 }),
    attempts: 0,
    retryAt: until,
  };
}

/** The same for failures of one kind: consumer, event type, and the error with its numbers and ids taken out. */
export function fingerprintOf(consumer: string, eventType: string, error: Error): string {
  const shape = error.message.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, '<id>').replace(/\d+/g, '<n>');
  return createHash('sha256').update(`${consumer}\n${eventType}\n${error.name}\n${shape}`).digest('hex').slice(0, 16);
}
