import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPresence } from '#kernel/bus/presence.ts';
import { createTail } from '#kernel/bus/tail.ts';
import { createLog } from '#kernel/observability/log.ts';
import { othersMayWrite } from '#kernel/postgres/sessions.ts';
import { openPostgres } from '../support/backends.ts';
import { until } from '../support/until.ts';

const LEASE_MS = 5000;
const HEARTBEAT_MS = 1000;
/** Nobody else is to be waited for. */
const atOnce = (_ms: number, call: () => void): (() => void) => {
  call();
  return () => undefined;
};
/** More heartbeats than anybody is in doubt for. */
const LONG = 20;

test('a process that is frozen for longer than its lease may write when it wakes: nobody takes itself for alone while it is connected', async (t) => {
  const { pool, groups, storeWith, clock, setGroupClockBack } = await openPostgres(t);
  const tail = createTail();
  const presence = createPresence(
    { instance: 'one', leaseMs: LEASE_MS, heartbeatMs: HEARTBEAT_MS },
    {
      groups,
      tail,
      clock: { ...clock, every: () => () => undefined, after: atOnce },
      log: createLog('silent'),
      notify: () => undefined,
      othersMayWrite: () => othersMayWrite(pool, 'one'),
    },
  );
  // As `two` is called in pg_stat_activity; it says that it lives, and then nothing any more.
  const frozen = await storeWith(clock).openWriter('gateway');
  await groups.join('processes', 'two', []);
  await presence.start();
  await setGroupClockBack(-2 * LEASE_MS);
  for (let beats = 0; beats < LONG; beats++) await presence.announce();
  assert.deepEqual(presence.members, ['one'], 'it was put out');
  assert.equal(tail.alone, false, 'its session is there');
  await frozen.close();
  await until('its session has ended', async () => {
    await presence.announce();
    return tail.alone;
  });
});
