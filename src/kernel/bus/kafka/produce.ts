import {
  type API,
  type Callback,
  type Connection,
  type CreateRecordsBatchOptions,
  CURRENT_RECORD_VERSION,
  compressionsAlgorithms,
  crc32c,
  kGetApi,
  type MessageRecord,
  Producer,
  produceV3,
  produceV4,
  produceV5,
  produceV6,
  produceV7,
  produceV8,
  produceV9,
  produceV10,
  produceV11,
  Writer,
} from '@platformatic/kafka';
import type { OutgoingMessage } from './cloud-event.ts';

/*
 * Produce requests, written into one buffer for each partition. The client writes each number and each text of a record into a
 * buffer of its own, which is half of what a relay does. Everything else, from the broker to ask to what to do when it refuses, is the client's.
 */

type BatchOptions = Partial<CreateRecordsBatchOptions>;
type ProduceArguments = [
  acks: number | undefined,
  timeout: number | undefined,
  messages: MessageRecord[],
  options?: BatchOptions,
];
type ProduceApi = API<ProduceArguments, unknown>;

const PARSERS = new Map(
  [produceV3, produceV4, produceV5, produceV6, produceV7, produceV8, produceV9, produceV10, produceV11].map(
    ({ api, parseResponse }) => [api.version, parseResponse],
  ),
);
/** From this version on lengths are written compactly, and tagged fields may follow. */
const FIRST_FLEXIBLE = 9;

/** A producer of messages whose value is a record that `encodeRecord` has written. */
export class RecordProducer extends Producer {
  override [kGetApi]<Arguments extends unknown[], Response>(
    name: string,
    callback: Callback<API<Arguments, Response>>,
  ): void {
    super[kGetApi]<Arguments, Response>(name, (error, api) => {
      const isProduce = api !== undefined && name === 'Produce';
      callback(error, isProduce ? (produceApi(api) as unknown as API<Arguments, Response>) : api);
    });
  }
}

/** @param api the client's, for the latest version that both it and the broker know */
function produceApi({ key, version }: { readonly key: number; readonly version: number }): ProduceApi {
  const parse = PARSERS.get(version);
  const flexible = version >= FIRST_FLEXIBLE;
  const send = (connection: Connection, ...args: unknown[]): void => {
    const callback = args.pop() as Callback<unknown>;
    const [acks = 1, timeout = 0, messages, options] = args as ProduceArguments;
    const request = () => produceRequest(version, acks, timeout, messages, options);
    if (parse === undefined) callback(new Error(`produce requests of version ${version} are not known`));
    else connection.send(key, version, request, parse, flexible, flexible, callback);
  };
  return send as ProduceApi;
}

/** @param messages with records by `encodeRecord` as their values */
export function produceRequest(
  version: number,
  acks: number,
  timeout: number,
  messages: readonly MessageRecord[],
  options: BatchOptions = {},
): Writer {
  const compact = version >= FIRST_FLEXIBLE;
  const topics = [...Map.groupBy(messages, ({ topic }) => topic)];
  const writer = Writer.create()
    .appendString(options.transactionalId, compact)
    .appendInt16(acks)
    .appendInt32(timeout)
    .appendArray(
      topics,
      (w, [topic, ofTopic]) => {
        const partitions = [...Map.groupBy(ofTopic, ({ partition }) => partition!)];
        w.appendString(topic, compact).appendArray(
          partitions,
          (into, [partition, records]) =>
            into.appendInt32(partition).appendBytes(recordBatch(records, options), compact),
          compact,
          compact,
        );
      },
      compact,
      compact,
    );
  return compact ? writer.appendTaggedFields() : writer;
}

/** Of a batch: what stands before what is counted in its length, and before what is under its checksum; all of its header. */
const LENGTH_AT = 8;
const COUNTED_FROM = 12;
const CHECKSUM_AT = 17;
const CHECKED_FROM = 21;
const BATCH_HEADER = 61;
/** A record's own length, attributes, time and offset, at most. */
const RECORD_HEADER_MAX = 5 + 1 + 10 + 5;

/** A batch of records, format 2 of Kafka's protocol. */
function recordBatch(messages: readonly MessageRecord[], options: BatchOptions): Buffer {
  const first = messages[0]!;
  const { compression = 'none' } = options;
  const algorithm = compression === 'none' ? undefined : compressionsAlgorithms[compression];
  const { records, maxTimestamp } = recordsOf(messages);
  const body = algorithm === undefined ? records : algorithm.compressSync(records);
  const batch = Buffer.allocUnsafe(BATCH_HEADER + body.length);
  batch.writeBigInt64BE(0n, 0);
  batch.writeInt32BE(batch.length - COUNTED_FROM, LENGTH_AT);
  batch.writeInt32BE(0, 12);
  batch.writeInt8(CURRENT_RECORD_VERSION, 16);
  batch.writeInt16BE(algorithm?.bitmask ?? 0, CHECKED_FROM);
  batch.writeInt32BE(messages.length - 1, 23);
  batch.writeBigInt64BE(first.timestamp!, 27);
  batch.writeBigInt64BE(maxTimestamp, 35);
  batch.writeBigInt64BE(options.producerId ?? -1n, 43);
  batch.writeInt16BE(options.producerEpoch ?? 0, 51);
  batch.writeInt32BE(options.sequences?.getWithDefault(`${first.topic}:${first.partition}`, 0) ?? 0, 53);
  batch.writeInt32BE(messages.length, 57);
  body.copy(batch, BATCH_HEADER);
  batch.writeUInt32BE(crc32c(batch.subarray(CHECKED_FROM)), CHECKSUM_AT);
  return batch;
}

function recordsOf(messages: readonly MessageRecord[]): { readonly records: Buffer; readonly maxTimestamp: bigint } {
  const firstTimestamp = messages[0]!.timestamp!;
  let maxTimestamp = firstTimestamp;
  let size = 0;
  for (const { value } of messages) size += RECORD_HEADER_MAX + value!.length;
  const records = Buffer.allocUnsafe(size);
  let at = 0;
  for (const [offset, { timestamp, value }] of messages.entries()) {
    if (timestamp! > maxTimestamp) maxTimestamp = timestamp!;
    const delta = Number(timestamp! - firstTimestamp);
    at = writeVarint(records, at, 1 + varintSize(delta) + varintSize(offset) + value!.length);
    records[at++] = 0;
    at = writeVarint(records, writeVarint(records, at, delta), offset);
    at += value!.copy(records, at);
  }
  return { records: records.subarray(0, at), maxTimestamp };
}

/** A record's key, value and headers, as they stand in a batch. */
export function encodeRecord({ key, value, headers }: Pick<OutgoingMessage, 'key' | 'value' | 'headers'>): Buffer {
  let size = sizeOfBytes(key) + sizeOfBytes(value) + varintSize(headers.size);
  for (const [name, text] of headers) size += sizeOfBytes(name) + sizeOfBytes(text);
  const record = Buffer.allocUnsafe(size);
  let at = writeBytes(record, writeBytes(record, 0, key), value);
  at = writeVarint(record, at, headers.size);
  for (const [name, text] of headers) at = writeBytes(record, writeBytes(record, at, name), text);
  return record;
}

function sizeOfBytes({ length }: Buffer): number {
  return varintSize(length) + length;
}

function writeBytes(into: Buffer, at: number, bytes: Buffer): number {
  const from = writeVarint(into, at, bytes.length);
  into.set(bytes, from);
  return from + bytes.length;
}

/** Numbers near zero are short, whatever their sign: zigzag. Beyond 32 bits too, where the client is wrong. */
function zigzag(value: number): number {
  return value >= 0 ? value * 2 : value * -2 - 1;
}

function varintSize(value: number): number {
  let size = 1;
  for (let left = zigzag(value); left >= 0x80; left = Math.floor(left / 0x80)) size += 1;
  return size;
}

/** @returns where it ends */
function writeVarint(into: Buffer, from: number, value: number): number {
  let at = from;
  let left = zigzag(value);
  for (; left >= 0x80; left = Math.floor(left / 0x80)) into[at++] = (left % 0x80) | 0x80;
  into[at++] = left;
  return at;
}
