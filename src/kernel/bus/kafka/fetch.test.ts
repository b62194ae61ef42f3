import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as kafka from '@platformatic/kafka';
import { createRecordsBatch, type MessageRecord, Reader, ResponseError, Writer } from '@platformatic/kafka';
import { batchesOf, parseFetched } from './fetch.ts';
import { messagesFrom, readBatches } from './records.ts';

/** The client's own code for every version of the request. */
const VERSIONS = Object.entries(kafka)
  .filter(([name]) => /^fetchV\d+$/.test(name))
  .map(([, version]) => version as typeof kafka.fetchV17);
const FETCH = 1;
const TOPIC_ID = '01a216fd-dbd8-4000-b547-e7fb2a2ff547';
const NOW = 1_793_000_000_000n;
const COMPRESSIONS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;
const CUT_OFF = 30;

/** Records of every length at which a number takes another byte, with and without keys, values and headers. */
function someMessages(): MessageRecord[] {
  const lengths = [0, 1, 63, 64, 127, 128, 8191, 8192, 20_000];
  const deltas = [0n, 1n, -1n, 63n, 64n, -64n, -65n, 2_000_000_000n, -2_000_000_000n];
  return Array.from({ length: 100 }, (_, i) => ({
    topic: 'a',
    partition: 0,
    timestamp: NOW + deltas[i % deltas.length]!,
    ...(i % 5 > 0 && { key: Buffer.from(`key-${i}`) }),
    ...(i % 7 > 0 && { value: Buffer.from('é'.repeat(lengths[i % lengths.length]!)) }),
    headers: new Map(
      Array.from({ length: i % 70 }, (_, n) => [Buffer.from(`ce_${n}`), Buffer.from('é'.repeat(n % 40))]),
    ),
  })) as MessageRecord[];
}

/** One batch of each compression, at offsets one behind another. */
function someBatches(): Buffer {
  const messages = someMessages();
  const batches = COMPRESSIONS.map((compression, index) => {
    const { buffer } = createRecordsBatch(messages, { compression, producerId: 12n });
    buffer.writeBigInt64BE(BigInt(1000 + index * messages.length), 0);
    return buffer;
  });
  return Buffer.concat(batches);
}

/** An answer as a broker of that version writes it. */
function answer(version: number, records: Buffer, errorCode = 0): Writer {
  const compact = version >= 12;
  const writer = Writer.create().appendInt32(5);
  if (version >= 7) writer.appendInt16(0).appendInt32(99);
  writer.appendArray(
    [records, Buffer.alloc(0)],
    (ofTopic, bytes) => {
      if (version >= 13) ofTopic.appendUUID(TOPIC_ID);
      else ofTopic.appendString('a', compact);
      ofTopic.appendArray(
        [3],
        (w, partition) => {
          w.appendInt32(partition).appendInt16(errorCode).appendInt64(7000n).appendInt64(6999n);
          if (version >= 5) w.appendInt64(10n);
          w.appendArray(
            [1n],
            (aborted, producerId) => aborted.appendInt64(producerId).appendInt64(44n),
            compact,
            compact,
          );
          if (version >= 11) w.appendInt32(2);
          w.appendBytes(bytes, compact);
        },
        compact,
        compact,
      );
    },
    compact,
    compact,
  );
  return compact ? writer.appendTaggedFields() : writer;
}

const read = (version: number, written: Writer) => parseFetched(1, FETCH, version, Reader.from(written.buffer));

test('answers of every version are read as the client reads them', () => {
  const records = someBatches();
  for (const { api, parseResponse } of VERSIONS) {
    const written = answer(api.version, Buffer.concat([records, records.subarray(0, CUT_OFF)]));
    const expected = parseResponse(1, FETCH, api.version, Reader.from(written.buffer));
    assert.deepEqual(asOurs(read(api.version, written)), asTheClients(expected), `version ${api.version}`);
  }
});

type Answer = ReturnType<typeof read>;
type Partition = Answer['responses'][number]['partitions'][number];

const KEPT = [
  'partitionIndex',
  'errorCode',
  'highWatermark',
  'lastStableOffset',
  'logStartOffset',
  'abortedTransactions',
  'preferredReadReplica',
] as const;

/** What both must have found, whoever read it. */
function comparable({ throttleTimeMs, errorCode, sessionId, responses }: Answer, batches: (of: Partition) => object) {
  const topics = responses.map(({ topicId, partitions }) => ({
    topicId,
    partitions: partitions.map((partition) => [KEPT.map((name) => partition[name]), batches(partition)]),
  }));
  return { throttleTimeMs, errorCode, sessionId, topics };
}

function asOurs(found: Answer) {
  return comparable(found, (partition) =>
    batchesOf(partition).map(({ records, ...batch }) => ({
      ...batch,
      records: records.map(({ headers, ...record }) => ({ ...record, headers: headers.entries() })),
    })),
  );
}

function asTheClients(expected: Answer) {
  return comparable(expected, ({ records: batches }) =>
    (batches ?? []).map(({ firstOffset, lastOffsetDelta, attributes, firstTimestamp, records, ...of }) => ({
      firstOffset,
      lastOffsetDelta,
      attributes,
      producerId: of.producerId,
      producerEpoch: of.producerEpoch,
      firstSequence: of.firstSequence,
      count: records.length,
      records: records.map(({ offsetDelta, timestampDelta, key, value, headers }) => ({
        offset: Number(firstOffset) + offsetDelta,
        timestamp: Number(firstTimestamp + timestampDelta),
        key,
        value,
        headers: [...headers],
      })),
    })),
  );
}

test('of a partition that cannot be read the error is told, beside what the others hold', () => {
  for (const { api } of VERSIONS)
    assert.throws(
      () => read(api.version, answer(api.version, Buffer.alloc(0), 6)),
      (error) => {
        assert.ok(error instanceof ResponseError);
        const { responses } = error.response as ReturnType<typeof read>;
        assert.equal(responses[0]!.partitions[0]!.errorCode, 6);
        assert.match(error.errors[0]!.message, /leader/i);
        return true;
      },
    );
});

test('messages before the offset that was asked for, and what brokers write for themselves, are left out', () => {
  const batches = readBatches(someBatches());
  const from = { topic: 'a', partition: 0, offset: 1150 };
  const { messages, nextOffset } = messagesFrom(from, batches);
  assert.deepEqual([messages[0]!.offset, messages.at(-1)!.offset, messages.length], [1150, 1499, 350]);
  assert.equal(nextOffset, 1500);
  const ownFirst = someBatches();
  ownFirst.writeInt16BE(0x20, 21);
  assert.equal(messagesFrom(from, readBatches(ownFirst)).messages.length, 350);
  assert.equal(messagesFrom({ ...from, offset: 0 }, readBatches(ownFirst)).messages.length, 400);
});

test('a record that is cut off, or of a format before this one, is an error', () => {
  const { buffer } = createRecordsBatch(someMessages().slice(0, 3), { producerId: 1n });
  const cut = Buffer.from(buffer.subarray(0, -5));
  cut.writeInt32BE(cut.length - 12, 8);
  const [batch] = readBatches(cut);
  assert.throws(() => batch!.records, RangeError);
  const old = Buffer.from(buffer);
  old.writeInt8(1, 16);
  assert.throws(() => readBatches(old), /format 1/);
});
