import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHistogram } from './histogram.ts';

test('a quantile is never below the exact one, and at most 1 % above it', () => {
  const histogram = createHistogram();
  const durations = Array.from({ length: 5000 }, (_, i) => 0.001 * 1.004 ** i).filter((ms) => ms < 4_000_000);
  for (const ms of durations) histogram.record(ms);
  for (const q of [0.001, 0.25, 0.5, 0.95, 0.99, 1]) {
    const exact = Math.round(durations[Math.ceil(q * durations.length) - 1]! * 1000) / 1000;
    const found = histogram.quantile(q);
    assert.ok(found >= exact && found <= exact * 1.01 + 0.001, `q ${q}: ${found} for ${exact}`);
  }
});

test('small durations are exact, none gives 0', () => {
  const histogram = createHistogram();
  assert.equal(histogram.quantile(0.5), 0);
  for (const us of [5, 5, 127]) histogram.record(us / 1000);
  assert.equal(histogram.quantile(0.5), 0.005);
  assert.equal(histogram.quantile(1), 0.127);
  assert.equal(histogram.count, 3);
});
