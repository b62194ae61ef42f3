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
import type { PartitionRef } from '../group.ts';
import type { OutgoingMessage } from './cloud-event.ts';
import { sentBy } from './codec.ts';
import { maxBytesOf, writeHeaders } from './headers.ts';
import type { BatchId } from './sent-batches.ts';
import { MAX_VARINT, maxTextBytes, varintSize, writeText, writeVarint } from './varint.ts';

/*
 * Produce requests, written into one buffer for each partition. The client writes each number and each text of a record into a
 * buffer of its own, which is half of what a relay does.
 */

type BatchOptions = Partial<CreateRecordsBatchOptions>;
/** Told of each batch, before it is sent. */
export type OnBatch = (ref: PartitionRef, id: BatchId) => void;
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
  onBatch: OnBatch | undefined;

  override [kGetApi]<Arguments extends unknown[], Response>(
    name: string,
    callback: Callback<API<Arguments, Response>>,
  ): void {
    super[kGetApi]<Arguments, Response>(name, (error, api) => {
      callback(error, api !== undefined && name === 'Produce' ? sentBy(api, this.writeRecords) : api);
    });
  }

  private readonly writeRecords = (connection: Connection, args: readonly unknown[]): Connection['send'] => {
    const [acks = 1, timeout = 0, messages, options] = args as ProduceArguments;
    const write = (version: number) => produceRequest(version, acks, timeout, messages, options, this.onBatch);
    return (key, version, _request, ...others) => connection.send(key, version, () => write(version), ...others);
  };
}

/** @param messages written by `toRecord` */
export function produceRequest(
  version: number,
  acks: number,
  timeout: number,
  messages: readonly MessageRecord[],
  options: BatchOptions = {},
  onBatch?: OnBatch,
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
            into
              .appendInt32(partition)
              .appendBytes(recordBatch({ topic, partition }, records, options, onBatch), compact),
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
function recordBatch(
  ref: PartitionRef,
  messages: readonly MessageRecord[],
  options: BatchOptions,
  onBatch: OnBatch | undefined,
): Buffer {
  const { compression = 'none', producerId = -1n, producerEpoch = 0, sequences } = options;
  const firstSequence = sequences?.getWithDefault(`${ref.topic}:${ref.partition}`, 0) ?? 0;
  onBatch?.(ref, { producerId, producerEpoch, firstSequence, count: messages.length });
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
  batch.writeBigInt64BE(messages[0]!.timestamp!, 27);
  batch.writeBigInt64BE(maxTimestamp, 35);
  batch.writeBigInt64BE(producerId, 43);
  batch.writeInt16BE(producerEpoch, 51);
  batch.writeInt32BE(firstSequence, 53);
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

let shared = Buffer.alloc(0);

/** A message as `RecordProducer` sends it: its value is the key, the value and the headers, as they stand in a batch. */
export function toRecord({ topic, partition, timestamp, key, value, common, headers }: OutgoingMessage): MessageRecord {
  const most = MAX_VARINT + maxTextBytes(key) + maxTextBytes(value) + common.bytes.length + maxBytesOf(headers);
  if (shared.length < most) shared = Buffer.allocUnsafe(Math.max(most, SHARED_BYTES));
  let at = writeText(shared, writeText(shared, 0, key), value);
  at = writeVarint(shared, at, common.count + headers.length / 2);
  shared.set(common.bytes, at);
  at = writeHeaders(shared, at + common.bytes.length, headers);
  const record = shared.subarray(0, at);
  shared = shared.subarray(at);
  return { topic, partition, timestamp, value: record };
}
