import { DataError } from '../../core/errors.ts';
import type { RecordedEvent } from '../../core/event.ts';
import { namedUuid } from '../../core/ids.ts';
import { fromTimestamp, toTimestamp } from '../../core/timestamp.ts';
import type { Place } from '../topology.ts';
import { unreadableEvent } from '../unreadable.ts';
import { type CommonHeaders, commonHeaders, type HeaderList, type RecordHeaders, readHeaders } from './headers.ts';

/*
 * An event as a Kafka message: CloudEvents 1.0 in the binary mode of its Kafka binding. Attributes are headers `ce_*`, the
 * value is the payload as JSON. Attributes of our own say where the event stands in the store that it comes from.
 */

/** A message to be written. */
export interface OutgoingMessage {
  readonly topic: string;
  readonly partition: number;
  readonly key: string;
  readonly value: string;
  /** They stand before the others. */
  readonly common: CommonHeaders;
  readonly headers: HeaderList;
  /** Milliseconds since 1970. */
  readonly timestamp: bigint;
}

/** A message as it was read. */
export interface IncomingMessage {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: RecordHeaders;
}

/** An event that was read, and the chain that it stands in, named among all stores. */
export interface IncomingEvent {
  readonly event: RecordedEvent;
  /** `store/chain`; undefined for a message that is no event of ours. */
  readonly chain: string | undefined;
  /** Which making of the topic it was written for, see `standing.ts`; undefined for a message that does not say. */
  readonly writtenFor?: number | undefined;
}

/** Says for which making of its topic a message was written: the same event has another on each topic. */
export const TOPIC_TAG = Buffer.from('ce_topictag');

/** Attributes by name, as the header that each is. */
const HEADERS = {
  contentType: Buffer.from('content-type'),
  specVersion: Buffer.from('ce_specversion'),
  id: Buffer.from('ce_id'),
  source: Buffer.from('ce_source'),
  type: Buffer.from('ce_type'),
  time: Buffer.from('ce_time'),
  subject: Buffer.from('ce_subject'),
  traceparent: Buffer.from('ce_traceparent'),
  correlationId: Buffer.from('ce_correlationid'),
  causationId: Buffer.from('ce_causationid'),
  schemaVersion: Buffer.from('ce_schemaversion'),
  aggregateType: Buffer.from('ce_aggregatetype'),
  streamPosition: Buffer.from('ce_streamposition'),
  store: Buffer.from('ce_store'),
  chain: Buffer.from('ce_chain'),
  chainPosition: Buffer.from('ce_chainposition'),
  topicTag: TOPIC_TAG,
} as const;

/** So much of a value that is no event of ours is kept. */
const KEPT_BYTES = 16_384;
const KEPT_HEADERS = 50;

/** Where events come from. */
export interface EventSource {
  /** Names the store that they stand in. */
  readonly store: string;
  /** The CloudEvents `source`: a URI reference of what produces events of this type. */
  source(type: string): string;
}

/**
 * Writes events as messages.
 * @param topicTag which making of the topic it is written for, see `standing.ts`
 */
export type MessageWriter = (event: RecordedEvent, place: Place, topicTag?: string) => OutgoingMessage;

/** A writer of the events of one store. It keeps what the last event of each type has in common with the next, already encoded. */
export function createMessageWriter(origin: EventSource): MessageWriter {
  /** By type, for the last event of it: the next one has mostly the same. */
  const last = new Map<
    string,
    { readonly like: RecordedEvent; readonly topicTag: string | undefined; readonly common: CommonHeaders }
  >();

  const commonOf = (event: RecordedEvent, topicTag: string | undefined): CommonHeaders => {
    const { type, version, aggregateType, chain } = event;
    const found = last.get(type);
    if (
      found !== undefined &&
      found.topicTag === topicTag &&
      found.like.version === version &&
      found.like.aggregateType === aggregateType &&
      found.like.chain === chain
    )
      return found.common;
    const common = commonHeaders(headersInCommon(origin, event, topicTag));
    last.set(type, { like: event, topicTag, common });
    return common;
  };

  return (event, place, topicTag) => {
    const { metadata } = event;
    // biome-ignore format: a header on each line
    const headers: (Buffer | string)[] = [
      HEADERS.id, event.id,
      HEADERS.time, toTimestamp(event.time),
      HEADERS.subject, event.aggregateId,
      HEADERS.traceparent, metadata.traceparent,
      HEADERS.correlationId, metadata.correlationid,
      HEADERS.streamPosition, String(event.streamPosition),
      HEADERS.chainPosition, String(event.chainPosition),
    ];
    if (metadata.causationid !== undefined) headers.push(HEADERS.causationId, metadata.causationid);
    return {
      topic: place.topic,
      partition: place.partition,
      key: place.key,
      value: JSON.stringify(event.data),
      common: commonOf(event, topicTag),
      headers,
      timestamp: BigInt(event.time),
    };
  };
}

function headersInCommon(
  { store, source }: EventSource,
  event: RecordedEvent,
  topicTag: string | undefined,
): HeaderList {
  // biome-ignore format: a header on each line
  const headers: (Buffer | string)[] = [
    HEADERS.contentType, 'application/json',
    HEADERS.specVersion, '1.0',
    HEADERS.source, source(event.type),
    HEADERS.type, event.type,
    HEADERS.schemaVersion, String(event.version),
    HEADERS.aggregateType, event.aggregateType,
    HEADERS.store, store,
    HEADERS.chain, String(event.chain),
  ];
  if (topicTag !== undefined) headers.push(HEADERS.topicTag, topicTag);
  return headers;
}

/** The event of a message. One that is none of ours becomes an event that says so, see `unreadable.ts`. */
export function fromMessage(message: IncomingMessage): IncomingEvent {
  try {
    return readEvent(message);
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    return { event: unreadable(message, cause.message), chain: undefined };
  }
}

/** @throws DataError when the message is no event of ours */
export function readEvent({ headers, value }: Pick<IncomingMessage, 'headers' | 'value'>): IncomingEvent {
  // In the order in which they are written.
  const { find, findNumber, need, number, uuid } = readHeaders(headers);
  if (need(HEADERS.specVersion) !== '1.0') throw new DataError('the message is no CloudEvent of version 1.0');
  const type = need(HEADERS.type);
  const version = number(HEADERS.schemaVersion);
  const aggregateType = need(HEADERS.aggregateType);
  const store = need(HEADERS.store);
  const chain = number(HEADERS.chain);
  const writtenFor = findNumber(HEADERS.topicTag);
  const id = uuid(HEADERS.id);
  const time = timeOf(need(HEADERS.time));
  const aggregateId = uuid(HEADERS.subject);
  const traceparent = need(HEADERS.traceparent);
  const correlationid = need(HEADERS.correlationId);
  const streamPosition = number(HEADERS.streamPosition);
  const chainPosition = number(HEADERS.chainPosition);
  const causationid = find(HEADERS.causationId);
  const event: RecordedEvent = {
    id,
    type,
    version,
    aggregateType,
    aggregateId,
    streamPosition,
    chain,
    chainPosition,
    // It is known in the store that it comes from alone; what is read has one, what this process wrote has none.
    sequence: 0,
    time,
    data: payloadOf(value),
    metadata: { correlationid, traceparent, ...(causationid !== undefined && { causationid }) },
    store,
  };
  return { event, chain: `${store}/${chain}`, writtenFor };
}

function timeOf(text: string): number {
  const time = fromTimestamp(text);
  if (Number.isNaN(time)) throw new DataError('ce_time is no RFC 3339 time');
  return time;
}

function payloadOf(value: Buffer | null): object {
  let data: unknown;
  try {
    data = JSON.parse(value?.toString() ?? '');
  } catch (cause) {
    throw new DataError('the value is not JSON', { cause });
  }
  if (typeof data !== 'object' || data === null || Array.isArray(data))
    throw new DataError('the value is no JSON object');
  return data;
}

function unreadable(message: IncomingMessage, problem: string): RecordedEvent {
  const { topic, partition, offset, key, value, timestamp } = message;
  const headers = message.headers
    .entries()
    .slice(0, KEPT_HEADERS)
    .map(([name, text]) => [keptText(name) ?? '', keptText(text) ?? ''] as const);
  return unreadableEvent(unreadableId(message), timestamp, {
    problem,
    topic,
    partition,
    offset,
    key: keptText(key),
    headers: Object.fromEntries(headers),
    value: value?.subarray(0, KEPT_BYTES).toString('base64') ?? null,
    bytes: value?.length ?? 0,
  });
}

/** The id of a message that has none of its own: by where it stands. */
export function unreadableId({
  topic,
  partition,
  offset,
}: Omit<IncomingMessage, 'headers' | 'key' | 'value' | 'timestamp'>): string {
  return namedUuid('kafka message', topic, String(partition), String(offset));
}

/** Fit for a jsonb column. */
function keptText(buffer: Buffer | null): string | null {
  return buffer?.subarray(0, 1000).toString().toWellFormed().replaceAll('\u0000', '\ufffd') ?? null;
}
