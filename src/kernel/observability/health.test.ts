import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHealth, type HealthCheck, type PartHealth } from './health.ts';

const clock = { now: () => Date.UTC(2026, 10, 22) };

function part(name: string, critical: boolean, check: () => Promise<PartHealth>): HealthCheck {
  return { name, critical, check };
}

const healthy = async (): Promise<PartHealth> => ({ status: 'healthy' });
const broken = async (): Promise<PartHealth> => {
  throw new Error('connect ECONNREFUSED db.internal');
};

test('is healthy when every part is', async () => {
  const report = await createHealth([part('database', true, healthy)], clock, 1000).report();
  assert.deepEqual(report, {
    status: 'healthy',
    timestamp: '2026-11-22T00:00:00.000Z',
    checks: { database: { status: 'healthy' } },
  });
});

test('a critical part out of reach is unhealthy, another one only degraded; hosts are not told', async () => {
  const critical = await createHealth(
    [part('database', true, broken), part('bus', true, healthy)],
    clock,
    1000,
  ).report();
  assert.equal(critical.status, 'unhealthy');
  assert.deepEqual(critical.checks.database, { status: 'unhealthy', detail: 'out of reach' });
  const other = await createHealth([part('gateway', false, broken), part('bus', true, healthy)], clock, 1000).report();
  assert.equal(other.status, 'degraded');
});

test('a check that never ends counts as unhealthy', async () => {
  const report = await createHealth([part('bus', true, () => new Promise(() => undefined))], clock, 10).report();
  assert.equal(report.status, 'unhealthy');
});

test('reports asked for at once share one round of checks', async () => {
  let rounds = 0;
  const counted = async (): Promise<PartHealth> => {
    rounds += 1;
    return { status: 'healthy' };
  };
  const health = createHealth([part('database', true, counted)], clock, 1000);
  await Promise.all([health.report(), health.report()]);
  assert.equal(rounds, 1);
  await health.report();
  assert.equal(rounds, 2);
});
