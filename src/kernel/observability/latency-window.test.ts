import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLatencyWindow } from './latency-window.ts';

test('tells percentiles as the bound of their class, and forgets what was taken', () => {
  const window = createLatencyWindow();
  for (let i = 0; i < 94; i++) window.observe(4);
  for (let i = 0; i < 5; i++) window.observe(150);
  window.observe(900);
  assert.deepEqual(window.take(), { count: 100, p95: 200, p99: 200 });
  assert.deepEqual(window.take(), { count: 0, p95: 0, p99: 0 });
});

test('what is beyond the last bound is infinite', () => {
  const window = createLatencyWindow();
  window.observe(60_000);
  assert.deepEqual(window.take(), { count: 1, p95: Number.POSITIVE_INFINITY, p99: Number.POSITIVE_INFINITY });
});
