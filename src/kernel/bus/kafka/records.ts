import { compressionsAlgorithmsByBitmask } from '@platformatic/kafka';
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
const COUNT_AT = 57;
const RECORDS_AT = 61;

const RECORD_FORMAT = 2;
const COMPRESSION = 0b111;
const IS_CONTROL = 0x20;

/**
 * The batches of a partition in an answer; the last may be cut off, and is left out.
 * @throws Error when the batches are of another format, or are not what they should be
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
  return {
    firstOffset,
    lastOffsetDelta: batch.readInt32BE(LAST_OFFSET_DELTA_AT),
    attributes,
    producerId: batch.readBigInt64BE(PRODUCER_ID_AT),
    records: readRecords(
      decompressed(batch.subarray(RECORDS_AT), attributes & COMPRESSION),
      batch.readInt32BE(COUNT_AT),
      Number(firstOffset),
      Number(batch.readBigInt64BE(FIRST_TIMESTAMP_AT)),
    ),
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
  { topic, partition, offset: from }: Pick<IncomingMessage, 'topic' | 'partition' | 'offset'>,
  batches: readonly RecordBatch[],
): { readonly messages: readonly IncomingMessage[]; readonly nextOffset: number } {
  const messages: IncomingMessage[] = [];
  let nextOffset = from;
  for (const { firstOffset, lastOffsetDelta, attributes, records } of batches) {
    nextOffset = Math.max(nextOffset, Number(firstOffset) + lastOffsetDelta + 1);
    if ((attributes & IS_CONTROL) !== 0) continue;
    for (const { offset, timestamp, key, value, headers } of records)
      if (offset >= from) messages.push({ topic, partition, offset, timestamp, key, value, headers });
  }
  return { messages, nextOffset };
}
