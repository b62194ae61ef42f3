import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { RecordedEvent } from '../../core/event.ts';
import { createSentBatches } from './sent-batches.ts';

const REF = { topic: 'payments.created', partition: 5 };
const ID = { producerId: 12n, producerEpoch: 0, firstSequence: 100, count: 2 };

const eventsOf = (first: number, count: number) =>
  Array.from({ length: count }, (_, i) => ({ chainPosition: first + i }) as RecordedEvent);
const BATCH = { events: eventsOf(100, 2), store: 'ours', topicTag: 17 };

test('a batch that was sent is found once, and no other in its place', () => {
  const sent = createSentBatches(4);
  sent.note(REF, ID, BATCH);
  assert.equal(sent.take({ ...REF, topic: 'payments.approved' }, ID), undefined);
  assert.equal(sent.take({ ...REF, partition: 6 }, ID), undefined);
  assert.equal(sent.take(REF, { ...ID, producerId: 13n }), undefined);
  assert.equal(sent.take(REF, { ...ID, producerEpoch: 1 }), undefined);
  assert.equal(sent.take(REF, { ...ID, firstSequence: 102 }), undefined);
  assert.equal(sent.take(REF, ID), BATCH);
  assert.equal(sent.take(REF, ID), undefined);
});

test('one of which records are missing is not taken for whole', () => {
  const sent = createSentBatches(4);
  sent.note(REF, ID, BATCH);
  assert.equal(sent.take(REF, { ...ID, count: 1 }), undefined);
  sent.note(REF, { ...ID, count: 3 }, BATCH);
  assert.equal(sent.take(REF, { ...ID, count: 3 }), undefined);
});

test('whatever is sent and asked for, a batch holds what was sent under its id, and no more is kept than may be', () => {
  const batch = fc.record({ firstSequence: fc.integer({ min: 0, max: 20 }), count: fc.integer({ min: 1, max: 5 }) });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 30 }), fc.array(batch), fc.array(batch), (most, noted, asked) => {
      const sent = createSentBatches(most);
      for (const { firstSequence, count } of noted)
        sent.note(REF, { ...ID, firstSequence, count }, { ...BATCH, events: eventsOf(firstSequence, count) });
      const found = asked.flatMap(({ firstSequence, count }) => {
        const events = sent.take(REF, { ...ID, firstSequence, count })?.events;
        if (events !== undefined) assert.deepEqual(events, eventsOf(firstSequence, count));
        return events ?? [];
      });
      assert.ok(found.length <= most);
    }),
  );
});
