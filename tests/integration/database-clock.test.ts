import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { openDatabaseClock } from '#kernel/postgres/clock.ts';
import { createPool } from '#kernel/postgres/pool.ts';
import { onEnd } from '../support/cleanup.ts';
import { createDatabase } from '../support/postgres.ts';

const HOUR_MS = 3_600_000;

test("the time is the database's, whatever this machine's clock is set to", async (t) => {
  const settings = {
    url: await createDatabase(),
    applicationName: 'test',
    maxConnections: 1,
    statementTimeoutMs: 5000,
  };
  const pool = createPool(settings, (error) => t.diagnostic(error.message));
  onEnd(t, pool.close);
  const databaseTime = async () => (await pool.query<{ now: number }>('SELECT clock_timestamp() AS now'))[0]!.now;
  const assertRight = async () => {
    const before = await databaseTime();
    const now = clock.now();
    // A look at the database is only as exact as it is short.
    assert.ok(now >= before - HOUR_MS / 2 && now <= (await databaseTime()) + HOUR_MS / 2, `${now} by ours`);
  };
  const clock = await openDatabaseClock(pool);
  await assertRight();
  for (const step of [HOUR_MS, -HOUR_MS]) {
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() + step });
    await assertRight();
    await clock.synchronize();
    await assertRight();
    t.mock.timers.reset();
  }
});

/** A clock on a database whose time, and how long it takes to say it, are set by the test. */
async function clockByHand(t: TestContext) {
  const hand = { passed: 0, databaseOffset: 1_000_000, lookMs: 0 };
  t.mock.method(performance, 'now', () => hand.passed);
  const query = async () => {
    hand.passed += hand.lookMs;
    return [{ now: hand.databaseOffset + hand.passed }] as never;
  };
  return { hand, clock: await openDatabaseClock({ query }) };
}

test('it goes on between two looks, and follows a database whose clock was set', async (t) => {
  const { hand, clock } = await clockByHand(t);
  assert.equal(clock.now(), 1_000_000);
  hand.passed += 5000;
  assert.equal(clock.now(), 1_005_000);
  for (const step of [HOUR_MS, -HOUR_MS]) {
    hand.databaseOffset += step;
    await clock.synchronize();
    assert.equal(clock.now(), hand.databaseOffset + hand.passed);
  }
});

test('a look that is too slow to know better leaves the time as it is', async (t) => {
  const { hand, clock } = await clockByHand(t);
  hand.lookMs = 300;
  await clock.synchronize();
  assert.equal(clock.now(), 1_000_300);
  hand.databaseOffset += 400;
  await clock.synchronize();
  assert.equal(clock.now(), 1_001_150, 'what cannot be explained by the way is followed');
});
