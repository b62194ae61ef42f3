import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulate } from './simulation.ts';

const PAYMENTS = 200;
const FIXED_SEEDS = 25;
const ANY_SEEDS = 10;
const CALM_SEEDS = 5;

/** `SIMULATION_SEED=… npm test -- --only tests/simulation` begins with that seed instead of a random one. */
const anySeed = Number(process.env.SIMULATION_SEED ?? Math.floor(Math.random() * 2 ** 31));

async function passes(seed: number, payments: number): Promise<void> {
  const report = await simulate({ seed, payments });
  const end = report.lines.slice(-20).join('\n');
  assert.deepEqual(report.findings, [], `bin/caudal simulate --seed ${seed} --payments ${payments}; the end:\n${end}`);
}

test(`seeds 1 to ${FIXED_SEEDS}: every invariant holds, and the same seed does the same to the byte`, async () => {
  for (let seed = 1; seed <= FIXED_SEEDS; seed++) {
    const [once, again] = [await simulate({ seed, payments: PAYMENTS }), await simulate({ seed, payments: PAYMENTS })];
    assert.deepEqual(once.findings, [], `bin/caudal simulate --seed ${seed} --payments ${PAYMENTS}`);
    assert.deepEqual(again.digest, once.digest, `seed ${seed} did something else the second time`);
  }
});

test(`${ANY_SEEDS} random seeds from ${anySeed}: every invariant holds`, async () => {
  for (let i = 0; i < ANY_SEEDS; i++) await passes(anySeed + i, PAYMENTS);
});

test('without faults every payment ends exactly as it is meant to, however the platform is laid out', async () => {
  for (let seed = 1; seed <= CALM_SEEDS; seed++) {
    const report = await simulate({ seed, payments: PAYMENTS, faults: { only: [] } });
    assert.deepEqual(report.findings, [], `without faults, seed ${seed}`);
    assert.deepEqual(report.faults, {});
  }
});
