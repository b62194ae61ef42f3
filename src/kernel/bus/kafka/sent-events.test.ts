import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { RecordedEvent } from '../../core/event.ts';
import { createSentEvents } from './sent-events.ts';

const eventAt = (chain: number, chainPosition: number) =>
  ({ id: `${chain}/${chainPosition}`, chain, chainPosition }) as RecordedEvent;

test('what was sent last is found once, under the name of its store', () => {
  const sent = createSentEvents('ours', 4);
  sent.note(eventAt(2, 7));
  assert.equal(sent.take('another', 2, 7), undefined);
  assert.equal(sent.take('ours', 2, 8), undefined);
  assert.equal(sent.take('ours', 3, 7), undefined);
  assert.deepEqual(sent.take('ours', 2, 7), { ...eventAt(2, 7), store: 'ours' });
  assert.equal(sent.take('ours', 2, 7), undefined);
});

test('whatever is sent and asked for, an event is found at its own place, or none', () => {
  const place = fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 50 }));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 30 }), fc.array(place), fc.array(place), (most, noted, asked) => {
      const sent = createSentEvents('ours', most);
      for (const [chain, position] of noted) sent.note(eventAt(chain, position));
      const found = asked.flatMap(([chain, position]) => {
        const event = sent.take('ours', chain, position);
        assert.ok(event === undefined || event.id === `${chain}/${position}`);
        return event ?? [];
      });
      assert.ok(found.length <= most);
    }),
  );
});
