import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics } from '#kernel/observability/metrics.ts';
import { readSeries, sumOf } from './series.ts';

test('reads what the registry of a process writes', async () => {
  const { registry, observer } = createMetrics();
  observer.failure({ service: 'pay"ments', topic: 'a{b} c', dead: true });
  observer.conflict('payments');
  observer.conflict('wallets');
  const series = readSeries(await registry.metrics());
  assert.deepEqual(
    series.find(({ name }) => name === 'caudal_message_failures_total'),
    {
      name: 'caudal_message_failures_total',
      labels: { service: 'pay\\"ments', topic: 'a{b} c', dead: 'true' },
      value: 1,
    },
  );
  assert.equal(sumOf(series, ['caudal_commit_conflicts_total']), 2);
  assert.ok(sumOf(series, ['process_resident_memory_bytes']) > 1_000_000);
  assert.equal(sumOf(series, ['process_cpu_seconds_total']) > 0, true);
});

test('leaves out what is no value', () => {
  assert.deepEqual(readSeries('# HELP a b 1\n\n<html>\na 1\n'), [{ name: 'a', labels: {}, value: 1 }]);
});
