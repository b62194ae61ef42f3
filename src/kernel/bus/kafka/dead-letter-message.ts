import { DataError } from '../../core/errors.ts';
import type { RecordedEvent } from '../../core/event.ts';
import { toTimestamp } from '../../core/timestamp.ts';
import type { DeadLetterMessage } from '../dead-letters.ts';
import type { Place } from '../topology.ts';
import { type UnreadableMessage, unreadableEvent, unreadableMessage } from '../unreadable.ts';
import {
  createMessageWriter,
  type EventSource,
  type IncomingMessage,
  type OutgoingMessage,
  readEvent,
  unreadableId,
} from './cloud-event.ts';
import { type CommonHeaders, type HeaderList, type Headers, NO_HEADERS, readHeaders } from './headers.ts';

/*
 * A dead letter as a Kafka message: `{original_topic, key, value, timestamp, attempts, error}` under the key and with the
 * headers of the original. Headers of our own, `caudal_dlq_*`, say whose it is, so that its row can be made anew from it.
 * What is written for a letter that came once is always the same, byte for byte.
 */

/** The value of the message. */
interface Body {
  readonly original_topic: string;
  readonly key: string | null;
  /** The payload of an event; of another message its value as text, or in base64 where it is none. */
  readonly value: unknown;
  /** When the original was written, RFC 3339; when it became a dead letter is the message's own timestamp. */
  readonly timestamp: string;
  readonly attempts: number;
  readonly error: string;
}

const PREFIX = 'caudal_dlq_';
const header = (name: string): Buffer => Buffer.from(PREFIX + name);
const HEADERS = {
  id: header('id'),
  count: header('count'),
  store: header('store'),
  service: header('service'),
  arrival: header('arrival'),
  partition: header('partition'),
  fingerprint: header('fingerprint'),
  firstSeen: header('first_seen'),
} as const;
/** Of a message that is no event of ours. */
const STRANGER = {
  offset: header('offset'),
  problem: header('problem'),
  bytes: header('bytes'),
  encoding: header('encoding'),
} as const;

export function toDeadLetterMessage(letter: DeadLetterMessage, place: Place, source: EventSource): OutgoingMessage {
  const { event } = letter;
  const stranger = unreadableMessage(event);
  const original = stranger === undefined ? ofEvent(event, letter, source) : ofStranger(stranger);
  const body: Body = {
    original_topic: letter.originalTopic,
    key: original.key,
    value: original.value,
    timestamp: toTimestamp(event.time),
    attempts: letter.attempts,
    error: letter.error,
  };
  const own: readonly (readonly [Buffer, string])[] = [
    [HEADERS.id, letter.id],
    [HEADERS.count, String(letter.count)],
    [HEADERS.store, source.store],
    [HEADERS.service, letter.service],
    [HEADERS.arrival, String(letter.arrival)],
    [HEADERS.partition, String(letter.originalPartition)],
    [HEADERS.fingerprint, letter.fingerprint],
    [HEADERS.firstSeen, toTimestamp(letter.firstSeen)],
  ];
  return {
    topic: place.topic,
    partition: place.partition,
    key: letter.key,
    value: JSON.stringify(body),
    common: original.common,
    headers: [...original.headers, ...own.flat()],
    timestamp: BigInt(letter.diedAt),
  };
}

interface Original {
  readonly key: string | null;
  readonly value: unknown;
  readonly common: CommonHeaders;
  readonly headers: HeaderList;
}

function ofEvent(
  event: RecordedEvent,
  { key, originalTopic, originalPartition }: DeadLetterMessage,
  by: EventSource,
): Original {
  const place = { topic: originalTopic, partition: originalPartition, key };
  const write = createMessageWriter({ source: by.source, store: event.store ?? by.store });
  const { common, headers } = write(event, place);
  return { key, value: event.data, common, headers };
}

function ofStranger({ key, value, headers, offset, problem, bytes }: UnreadableMessage): Original {
  const kept = value === null ? null : Buffer.from(value, 'base64');
  const text = kept?.toString() ?? null;
  const isText = text === null || Buffer.from(text).equals(kept!);
  const own: readonly (readonly [Buffer, string])[] = [
    [STRANGER.offset, String(offset)],
    [STRANGER.problem, problem],
    [STRANGER.bytes, String(bytes)],
    [STRANGER.encoding, isText ? 'text' : 'base64'],
  ];
  const theirs = Object.entries(headers).filter(([name]) => !name.startsWith(PREFIX));
  return { key, value: isText ? text : value, common: NO_HEADERS, headers: [...theirs.flat(), ...own.flat()] };
}

/** @throws DataError when the message is no dead letter of ours */
export function fromDeadLetterMessage(message: IncomingMessage): {
  readonly letter: DeadLetterMessage;
  readonly store: string;
} {
  const headers = readHeaders(message.headers);
  const body = bodyOf(message.value);
  const originalPartition = headers.number(HEADERS.partition);
  const letter: DeadLetterMessage = {
    id: headers.uuid(HEADERS.id),
    count: headers.number(HEADERS.count),
    arrival: headers.number(HEADERS.arrival),
    service: headers.need(HEADERS.service),
    topic: message.topic,
    originalTopic: body.original_topic,
    originalPartition,
    key: message.key?.toString() ?? '',
    event:
      headers.find(STRANGER.problem) === undefined
        ? readEvent({ headers: message.headers, value: Buffer.from(JSON.stringify(body.value)) }).event
        : strangerOf(message, body, originalPartition, headers),
    attempts: body.attempts,
    error: body.error,
    fingerprint: headers.need(HEADERS.fingerprint),
    firstSeen: timeOf(headers.need(HEADERS.firstSeen)),
    diedAt: message.timestamp,
  };
  return { letter, store: headers.need(HEADERS.store) };
}

function bodyOf(value: Buffer | null): Body {
  let body: Partial<Body> | null;
  try {
    body = JSON.parse(value?.toString() ?? '');
  } catch (cause) {
    throw new DataError('the value is not JSON', { cause });
  }
  const { original_topic, key, timestamp, attempts, error } = body ?? {};
  const texts = [original_topic, timestamp, error].every((text) => typeof text === 'string');
  if (texts && (key === null || typeof key === 'string') && Number.isSafeInteger(attempts)) return body as Body;
  throw new DataError('the value is no dead letter');
}

function strangerOf(message: IncomingMessage, body: Body, partition: number, headers: Headers): RecordedEvent {
  const at = { topic: body.original_topic, partition, offset: headers.number(STRANGER.offset) };
  const theirs = message.headers
    .entries()
    .map(([name, content]) => [name?.toString() ?? '', content?.toString() ?? ''] as const)
    .filter(([name]) => !name.startsWith(PREFIX));
  const isText = headers.need(STRANGER.encoding) === 'text';
  const value = typeof body.value === 'string' && isText ? Buffer.from(body.value).toString('base64') : body.value;
  return unreadableEvent(unreadableId(at), timeOf(body.timestamp), {
    ...at,
    problem: headers.need(STRANGER.problem),
    key: body.key,
    headers: Object.fromEntries(theirs),
    value: typeof value === 'string' ? value : null,
    bytes: headers.number(STRANGER.bytes),
  });
}

function timeOf(text: string): number {
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw new DataError(`${text} is no RFC 3339 time`);
  return time;
}
