import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as kafka from '@platformatic/kafka';
import { type MessageRecord, NumericMap, Reader, readRecordsBatch } from '@platformatic/kafka';
import { batchAt } from '../../../../tests/support/kafka-message.ts';
import type { OutgoingMessage } from './cloud-event.ts';
import { commonHeaders, NO_HEADERS } from './headers.ts';
import { produceRequest, toRecord } from './produce.ts';

/** The client's own code for every version of the request. */
const VERSIONS = Object.entries(kafka)
  .filter(([name]) => /^produceV\d+$/.test(name))
  .map(([, version]) => version as typeof kafka.produceV11);
/** Characters of one to four bytes, and half of one. */
const TEXTS = ['x', 'é', '€', '😀', '\ud800'];
const NOW = 1_793_000_000_000n;
const IN_COMMON = [Buffer.from('content-type'), 'application/json', Buffer.from('ce_source'), '/é'];
const COMMON = commonHeaders(IN_COMMON);

/** Messages to three partitions of two topics, of every length at which a number takes another byte, and at odd times. */
function someMessages(): OutgoingMessage[] {
  const lengths = [1, 63, 64, 127, 128, 8191, 8192, 20_000];
  const deltas = [0n, 1n, -1n, 63n, 64n, -64n, -65n, 2_000_000_000n, -2_000_000_000n];
  return Array.from({ length: 200 }, (_, i) => ({
    topic: i % 3 === 0 ? 'a' : 'b.c',
    partition: i % 3 === 2 ? 5 : 0,
    timestamp: NOW + deltas[i % deltas.length]!,
    key: `key-${i}`,
    value: TEXTS[i % TEXTS.length]!.repeat(lengths[i % lengths.length]!),
    common: i % 4 === 0 ? COMMON : NO_HEADERS,
    headers: Array.from({ length: i % 70 }, (_, n) => [Buffer.from(`ce_${n}`), 'é'.repeat(1 + (n % 40))]).flat(),
  }));
}

for (const compression of ['none', 'snappy', 'lz4', 'zstd'] as const)
  test(`requests are to the byte what the client makes, compression ${compression}`, () => {
    const messages = someMessages();
    const encoded = messages.map(toRecord);
    const sequences = new NumericMap([['b.c:5', 7]]);
    const options = { compression, producerId: 123_456_789_012n, producerEpoch: 3, sequences };
    for (const { api, createRequest } of VERSIONS) {
      const expected = createRequest(-1, 10_000, forClient(messages), options).buffer;
      const request = produceRequest(api.version, -1, 10_000, encoded, options).buffer;
      assert.ok(request.equals(expected), `version ${api.version}`);
    }
  });

function forClient(messages: readonly OutgoingMessage[]): MessageRecord[] {
  return messages.map(({ topic, partition, timestamp, key, value, common, headers }) => {
    const bytes = [...(common === COMMON ? IN_COMMON : []), ...headers].map((part) => Buffer.from(part as string));
    const pairs = Array.from({ length: bytes.length / 2 }, (_, n) => [bytes[2 * n]!, bytes[2 * n + 1]!] as const);
    return { topic, partition, timestamp, key: Buffer.from(key), value: Buffer.from(value), headers: new Map(pairs) };
  });
}

test('who asks is told of each batch what brokers will know it by', () => {
  const told: unknown[] = [];
  const sequences = new NumericMap([['b.c:5', 7]]);
  const messages = someMessages();
  const options = { producerId: 123_456_789_012n, producerEpoch: 3, sequences };
  produceRequest(9, -1, 10_000, messages.map(toRecord), options, (...batch) => told.push(batch));
  const idOf = (topic: string, partition: number, firstSequence: number) => {
    const count = messages.filter((message) => message.topic === topic && message.partition === partition).length;
    return [
      { topic, partition },
      { producerId: 123_456_789_012n, producerEpoch: 3, firstSequence, count },
    ];
  };
  assert.deepEqual(told, [idOf('a', 0, 0), idOf('b.c', 0, 0), idOf('b.c', 5, 7)]);
});

test('a batch may hold messages of months: the client itself writes wrong times from 25 days on', () => {
  const times = [NOW, NOW + 5_000_000_000n, NOW - 5_000_000_000n, NOW + 2n ** 31n];
  const messages = times.map((timestamp) =>
    toRecord({ topic: 'a', partition: 0, timestamp, key: 'k', value: 'v', common: NO_HEADERS, headers: [] }),
  );
  const { buffer } = produceRequest(3, -1, 10_000, messages);
  const { firstTimestamp, records } = readRecordsBatch(Reader.from(buffer.subarray(batchAt('a'))));
  assert.deepEqual(
    records.map(({ timestampDelta }) => firstTimestamp + timestampDelta),
    times,
  );
});
