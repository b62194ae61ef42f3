import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createLog } from '../observability/log.ts';
import type { GroupStore } from './group.ts';
import { createPresence } from './presence.ts';
import { createTail } from './tail.ts';

const HEARTBEAT_MS = 1000;
const LEASE_MS = 5000;

/** The presence of process `a`, which sees at each heartbeat whom the test says. */
async function openPresence(t: TestContext) {
  t.mock.timers.enable({ apis: ['setInterval', 'setTimeout'] });
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  let seen: readonly string[] | Error = ['a'];
  const heartbeat: GroupStore['heartbeat'] = async () => {
    if (seen instanceof Error) throw seen;
    return { members: seen, partitions: [] };
  };
  const groups = { heartbeat, join: async () => undefined, leave: async () => undefined } as Partial<GroupStore>;
  const tail = createTail();
  const settings = { instance: 'a', heartbeatMs: HEARTBEAT_MS, leaseMs: LEASE_MS };
  const presence = createPresence(settings, groups as GroupStore, tail, createLog('silent'), () => undefined);
  await presence.start();
  t.after(() => presence.stop());
  const beat = async (members: readonly string[] | Error, times = 1): Promise<boolean> => {
    seen = members;
    for (let beats = 0; beats < times; beats++) {
      now += HEARTBEAT_MS;
      t.mock.timers.tick(HEARTBEAT_MS);
      await new Promise((resolve) => setImmediate(resolve));
    }
    return tail.alone;
  };
  return beat;
}

test('who has seen no other process for a lease is alone', async (t) => {
  const beat = await openPresence(t);
  assert.equal(await beat(['a'], 4), false);
  assert.equal(await beat(['a']), true);
  assert.equal(await beat(['a', 'b']), false);
});

test('others that were put out because nobody could reach the database are waited for', async (t) => {
  const beat = await openPresence(t);
  await beat(['a', 'b']);
  assert.equal(await beat(new Error('PostgreSQL is out of reach'), 6), false);
  assert.equal(await beat(['a']), false, 'b has just been put out, and may live');
  assert.equal(await beat(['a', 'b.1']), false);
  assert.equal(await beat(['a'], 5), false);
  assert.equal(await beat(['a']), true);
});
