import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type MessageRecord,
  NumericMap,
  produceV3,
  produceV4,
  produceV5,
  produceV6,
  produceV7,
  produceV8,
  produceV9,
  produceV10,
  produceV11,
  Reader,
  readRecordsBatch,
} from '@platformatic/kafka';
import { encodeRecord, produceRequest } from './produce.ts';

const VERSIONS = [
  produceV3,
  produceV4,
  produceV5,
  produceV6,
  produceV7,
  produceV8,
  produceV9,
  produceV10,
  produceV11,
] as const;
const NOW = 1_793_000_000_000n;

/** Messages to three partitions of two topics, of every length at which a number takes another byte, and at odd times. */
function someMessages() {
  const lengths = [1, 63, 64, 127, 128, 8191, 8192, 20_000];
  const deltas = [0n, 1n, -1n, 63n, 64n, -64n, -65n, 2_000_000_000n, -2_000_000_000n];
  return Array.from({ length: 200 }, (_, i) => ({
    topic: i % 3 === 0 ? 'a' : 'b.c',
    partition: i % 3 === 2 ? 5 : 0,
    timestamp: NOW + deltas[i % deltas.length]!,
    key: Buffer.from(`key-${i}`),
    value: Buffer.alloc(lengths[i % lengths.length]!, `{"n":${i}}`),
    headers: new Map(
      Array.from({ length: i % 70 }, (_, n) => [Buffer.from(`ce_${n}`), Buffer.from('é'.repeat(1 + (n % 40)))]),
    ),
  }));
}

for (const compression of ['none', 'snappy', 'lz4', 'zstd'] as const)
  test(`requests are to the byte what the client makes, compression ${compression}`, () => {
    const messages = someMessages();
    const encoded = messages.map(({ topic, partition, timestamp, ...message }): MessageRecord => {
      const value = encodeRecord(message);
      return { topic, partition, timestamp, value };
    });
    const sequences = new NumericMap([['b.c:5', 7]]);
    const options = { compression, producerId: 123_456_789_012n, producerEpoch: 3, sequences };
    for (const { api, createRequest } of VERSIONS) {
      const expected = createRequest(-1, 10_000, structuredCopy(messages), options).buffer;
      const request = produceRequest(api.version, -1, 10_000, encoded, options).buffer;
      assert.ok(request.equals(expected), `version ${api.version}`);
    }
  });

/** The client may write into what it is given. */
function structuredCopy(messages: readonly MessageRecord[]): MessageRecord[] {
  return messages.map((message) => ({ ...message }));
}

test('a batch may hold messages of months: the client itself writes wrong times from 25 days on', () => {
  const times = [NOW, NOW + 5_000_000_000n, NOW - 5_000_000_000n, NOW + 2n ** 31n];
  const messages = times.map((timestamp): MessageRecord => {
    const value = encodeRecord({ key: Buffer.from('k'), value: Buffer.from('v'), headers: new Map() });
    return { topic: 'a', partition: 0, timestamp, value };
  });
  const { buffer } = produceRequest(3, -1, 10_000, messages);
  // Version 3: no transaction, acks, time-out, one topic `a` with one partition 0, and how long its batch is.
  const batch = buffer.subarray(2 + 2 + 4 + 4 + 3 + 4 + 4 + 4);
  const { firstTimestamp, records } = readRecordsBatch(Reader.from(batch));
  assert.deepEqual(
    records.map(({ timestampDelta }) => firstTimestamp + timestampDelta),
    times,
  );
});
