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
  Writer,
} from '@platformatic/kafka';
import type { OutgoingMessage } from './cloud-event.ts';
import { sentBy } from './codec.ts';

/*
 * Produce requests, written into one buffer for each partition. The client writes each number and each text of a record into a
 * buffer of its own, which is half of what a relay does.
 */

type BatchOptions = Partial<CreateRecordsBatchOptions>;
type ProduceArguments = [
  acks: number | undefined,
  timeout: number | undefined,
  messages: MessageRecord[],
  options?: BatchOptions,
];

/** From this version on lengths are written compactly, and tagged fields may follow. */
const FIRST_FLEXIBLE = 9;

/** A producer of messages that `toRecord` has written. */
export class RecordProducer extends Producer {
  override [kGetApi]<Arguments extends unknown[], Response>(
    name: string,
    callback: Callback<API<Arguments, Response>>,
  ): void {
    super[kGetApi]<Arguments, Response>(name, (error, api) => {
      callback(error, api !== undefined && name === 'Produce' ? sentBy(api, writeRecords) : api);
    });
  }
}

const writeRecords = (connection: Connection, args: readonly unknown[]): Connection['send'] => {
  const [acks = 1, timeout = 0, messages, options] = args as ProduceArguments;
  return (key, version, _request, ...others) =>
    connection.send(key, version, () => produceRequest(version, acks, timeout, messages, options), ...others);
};

/** @param messages written by `toRecord` */
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

/** Records stand one behind another in buffers of this size: one of its own for each costs more than to write it. */
const SHARED_BYTES = 1_048_576;
/** A number in 32 bits, in UTF-8 a character of UTF-16. */
const MAX_VARINT = 5;
const MAX_CHARACTER = 3;

let shared = Buffer.alloc(0);

/** A message as `RecordProducer` sends it: its value is the key, the value and the headers, as they stand in a batch. */
export function toRecord({ topic, partition, timestamp, key, value, headers }: OutgoingMessage): MessageRecord {
  let most = 3 * MAX_VARINT + (key.length + value.length) * MAX_CHARACTER;
  for (const part of headers) most += MAX_VARINT + part.length * MAX_CHARACTER;
  if (shared.length < most) shared = Buffer.allocUnsafe(Math.max(most, SHARED_BYTES));
  let at = writeText(shared, writeText(shared, 0, key), value);
  at = writeVarint(shared, at, headers.length / 2);
  for (const part of headers)
    at = typeof part === 'string' ? writeText(shared, at, part) : writeBytes(shared, at, part);
  const record = shared.subarray(0, at);
  shared = shared.subarray(at);
  return { topic, partition, timestamp, value: record };
}

function writeBytes(into: Buffer, at: number, bytes: Buffer): number {
  const from = writeVarint(into, at, bytes.length);
  into.set(bytes, from);
  return from + bytes.length;
}

/** Before a text stands how many bytes it takes, which is known when it is written: mostly as many as it has characters. */
function writeText(into: Buffer, at: number, text: string): number {
  const guessed = varintSize(text.length);
  const bytes = into.write(text, at + guessed);
  const size = varintSize(bytes);
  if (size !== guessed) into.copyWithin(at + size, at + guessed, at + guessed + bytes);
  return writeVarint(into, at, bytes) + bytes;
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
