import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHold } from './hold.ts';

test('deadlines are held while there is trouble, and until what was kept waiting has had its time', () => {
  let now = 1_000_000;
  let trouble: string | undefined;
  const isHeld = createHold(() => trouble, 10_000, { now: () => now });
  assert.equal(isHeld(), false);
  trouble = 'Kafka is out of reach';
  assert.equal(isHeld(), true);
  trouble = undefined;
  now += 9_999;
  assert.equal(isHeld(), true, 'others have not come back yet');
  now += 1;
  assert.equal(isHeld(), false);
});
