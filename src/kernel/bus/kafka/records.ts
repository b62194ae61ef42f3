import { compressionsAlgorithmsByBitmask } from '@platformatic/kafka';
import type { PartitionRef } from '../group.ts';
import type { IncomingMessage } from './cloud-event.ts';
import { RecordHeaders } from './headers.ts';
import { VarintReader } from './varint.ts';

/*
 * Batches of records, format 2 of Kafka's protocol, as brokers hand them out. What a record holds stays where it stands until
 * somebody asks for it: the client makes a buffer of each header's name and of its value, which is most of what reading costs.
 */

/** Of a batch what the client and we look at. Numbers of 64 bits are those that the client compares with others of them. */
export interface RecordBatch {
  readonly firstOffset: bigint;
  readonly lastOffsetDelta: number;
  readonly attributes: number;
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly firstSequence: number;
  readonly count: number;
  /** Read when they are asked for, each time. @throws Error when they are not what they should be */
  readonly records: readonly StandingRecord[];
}

interface StandingRecord {
  readonly offset: number;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: RecordHeaders;
}

/** Where fields stand in a batch, and how long all that stands before its records is. */
const LENGTH_AT = 8;
const COUNTED_FROM = 12;
const MAGIC_AT = 16;
const ATTRIBUTES_AT = 21;
const LAST_OFFSET_DELTA_AT = 23;
const FIRST_TIMESTAMP_AT = 27;
const PRODUCER_ID_AT = 43;
const PRODUCER_EPOCH_AT = 51;
const FIRST_SEQUENCE_AT = 53;
const COUNT_AT = 57;
const RECORDS_AT = 61;

const RECORD_FORMAT = 2;
const COMPRESSION = 0b111;
const IS_CONTROL = 0x20;

/**
 * The batches of a partition in an answer; the last may be cut off, and is left out.
 * @throws Error when they are of another format
 */
export function readBatches(bytes: Buffer): readonly RecordBatch[] {
  const batches: RecordBatch[] = [];
  for (let at = 0; at + COUNTED_FROM <= bytes.length; ) {
    const end = at + COUNTED_FROM + bytes.readInt32BE(at + LENGTH_AT);
    if (end > bytes.length) break;
    batches.push(readBatch(bytes.subarray(at, end)));
    at = end;
  }
  return batches;
}

function readBatch(batch: Buffer): RecordBatch {
  const format = batch.readInt8(MAGIC_AT);
  if (format !== RECORD_FORMAT) throw new Error(`records of format ${format} are not known`);
  const attributes = batch.readInt16BE(ATTRIBUTES_AT);
  const firstOffset = batch.readBigInt64BE(0);
  const count = batch.readInt32BE(COUNT_AT);
  return {
    firstOffset,
    lastOffsetDelta: batch.readInt32BE(LAST_OFFSET_DELTA_AT),
    attributes,
    producerId: batch.readBigInt64BE(PRODUCER_ID_AT),
    producerEpoch: batch.readInt16BE(PRODUCER_EPOCH_AT),
    firstSequence: batch.readInt32BE(FIRST_SEQUENCE_AT),
    count,
    get records() {
      const bytes = decompressed(batch.subarray(RECORDS_AT), attributes & COMPRESSION);
      return readRecords(bytes, count, Number(firstOffset), Number(batch.readBigInt64BE(FIRST_TIMESTAMP_AT)));
    },
  };
}

function decompressed(records: Buffer, compression: number): Buffer {
  if (compression === 0) return records;
  const algorithm = compressionsAlgorithmsByBitmask[compression as keyof typeof compressionsAlgorithmsByBitmask];
  if (algorithm === undefined) throw new Error(`compression ${compression} of records is not known`);
  return algorithm.decompressSync(records);
}

function readRecords(bytes: Buffer, count: number, firstOffset: number, firstTimestamp: number): StandingRecord[] {
  const reader = new VarintReader(bytes);
  const records: StandingRecord[] = [];
  for (let index = 0; index < count; index++) {
    const length = reader.next();
    const end = reader.at + length;
    // Attributes, which have no meaning yet.
    reader.at += 1;
    const timestamp = firstTimestamp + reader.next();
    const offset = firstOffset + reader.next();
    const key = reader.bytes();
    const value = reader.bytes();
    const headerCount = reader.next();
    records.push({ offset, timestamp, key, value, headers: new RecordHeaders(bytes, reader.at, headerCount) });
    if (end > bytes.length) throw new RangeError('a record is longer than its batch');
    reader.at = end;
  }
  return records;
}

/** The messages of a partition from an offset on, and where to go on: a broker answers with whole batches, which may begin before it. */
export function messagesFrom(
  from: PartitionRef & { readonly offset: number },
  batches: readonly RecordBatch[],
): { readonly messages: readonly IncomingMessage[]; readonly nextOffset: number } {
  const messages = batches.flatMap((batch) => messagesOf(from, batch)).filter(({ offset }) => offset >= from.offset);
  return { messages, nextOffset: offsetBehind(from.offset, batches) };
}

/** What a batch holds; none of what a broker writes for itself. */
export function messagesOf({ topic, partition }: PartitionRef, batch: RecordBatch): readonly IncomingMessage[] {
  if ((batch.attributes & IS_CONTROL) !== 0) return [];
  return batch.records.map((record) => ({ topic, partition, ...record }));
}

/** Where to go on behind the batches that were found at an offset. */
export function offsetBehind(offset: number, batches: readonly RecordBatch[]): number {
  const last = batches.at(-1);
  return last === undefined ? offset : Math.max(offset, Number(last.firstOffset) + last.lastOffsetDelta + 1);
}
