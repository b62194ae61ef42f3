import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_RETRY, retryDelayMs } from './retry-delay.ts';

test('the first attempt goes at once, then the waits double up to 30 s', () => {
  const withoutChance = { ...DEFAULT_RETRY, jitter: 0 };
  const waits = [0, 1, 2, 3, 4, 5, 6, 1_000].map((retry) => retryDelayMs(withoutChance, retry, 0.5));
  assert.deepEqual(waits, [0, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
});

test('the jitter moves a wait by at most half its share to either side, and never past the longest', () => {
  const anyRandom = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50 }), anyRandom, (retry, random) => {
      const middle = 2_000 * 2 ** (retry - 1);
      const wait = retryDelayMs(DEFAULT_RETRY, retry, random);
      assert.ok(wait >= Math.min(middle * 0.9, 30_000) - 1);
      assert.ok(wait <= Math.min(middle * 1.1, 30_000) + 1);
    }),
  );
});

test('two random numbers give two different waits', () => {
  assert.notEqual(retryDelayMs(DEFAULT_RETRY, 1, 0), retryDelayMs(DEFAULT_RETRY, 1, 0.9));
});
