import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRateLimit } from './rate-limit.ts';

test('gives out as much as a second has, and not more before time passes', () => {
  let now = 0;
  const limit = createRateLimit(10, { now: () => now });
  assert.equal(limit.take(4), 4);
  assert.equal(limit.take(100), 6);
  assert.equal(limit.take(1), 0);
  now += 250;
  assert.equal(limit.take(100), 2);
  now += 60_000;
  assert.equal(limit.take(100), 10);
});

test('takes back what was not used', () => {
  const limit = createRateLimit(10, { now: () => 0 });
  limit.take(10);
  limit.giveBack(3);
  assert.equal(limit.take(10), 3);
});
