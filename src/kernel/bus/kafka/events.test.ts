import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batchAt } from '../../../../tests/support/kafka-message.ts';
import type { RecordedEvent } from '../../core/event.ts';
import { createMessageWriter } from './cloud-event.ts';
import { eventsOf } from './events.ts';
import { produceRequest, toRecord } from './produce.ts';
import { type RecordBatch, readBatches } from './records.ts';
import { createSentBatches } from './sent-batches.ts';

const PLACE = { topic: 'payments.created', partition: 0, key: 'k' };
const STORE = 'ab12cd34';
const BASE = 1000n;

function eventAt(chainPosition: number): RecordedEvent {
  const id = `01900000-0000-7000-8000-${String(chainPosition).padStart(12, '0')}`;
  return {
    id,
    type: 'payments.created',
    version: 1,
    aggregateType: 'payment',
    aggregateId: id,
    streamPosition: 1,
    sequence: 0,
    chain: 4,
    chainPosition,
    time: 1_793_000_000_123,
    data: { amount: chainPosition },
    metadata: { correlationid: id, traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' },
  };
}

test('what this process has sent is what others read, and is not decoded', () => {
  const events = [7, 8, 9].map(eventAt);
  const write = createMessageWriter({ store: STORE, source: () => '/caudal/payments' });
  const records = events.map((event) => toRecord(write(event, PLACE, '17')));
  const sent = createSentBatches(10);
  const { buffer } = produceRequest(3, -1, 0, records, { producerId: 12n, producerEpoch: 1 }, (ref, id) =>
    sent.note(ref, id, { events, store: STORE, topicTag: 17 }),
  );
  buffer.writeBigInt64BE(BASE, batchAt(PLACE.topic));
  const batches = readBatches(buffer.subarray(batchAt(PLACE.topic)));
  const read = eventsOf(PLACE, batches, createSentBatches(10));
  assert.deepEqual(
    read.map(({ offset }) => offset),
    [1000, 1001, 1002],
  );
  const unreadable: readonly RecordBatch[] = batches.map((batch) => ({
    ...batch,
    get records(): never {
      throw new Error('it was decoded');
    },
  }));
  assert.deepEqual(eventsOf(PLACE, unreadable, sent), read);
  assert.deepEqual(eventsOf(PLACE, batches, sent), read, 'the second time it is');
});
