import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Scheduler } from '../core/clock.ts';
import { UnavailableError } from '../core/errors.ts';
import { createLog } from '../observability/log.ts';
import type { GroupStore } from './group.ts';
import { createPresence } from './presence.ts';
import { createTail } from './tail.ts';

const HEARTBEAT_MS = 1000;
const LEASE_MS = 5000;

/** The presence of process `a`, which sees at each heartbeat whom the test says. */
async function openPresence(t: TestContext) {
  let heart: () => void = () => undefined;
  const pauses: (() => void)[] = [];
  const clock: Scheduler = {
    now: () => assert.fail('a clock can be set'),
    after: (ms, call) => {
      assert.equal(ms, 2 * HEARTBEAT_MS);
      pauses.push(call);
      return () => undefined;
    },
    every: (ms, call) => {
      assert.equal(ms, HEARTBEAT_MS);
      heart = call;
      return () => undefined;
    },
  };
  let seen: readonly string[] | Error = ['a'];
  const heartbeat: GroupStore['heartbeat'] = async () => {
    if (seen instanceof Error) throw seen;
    return { members: seen, partitions: [] };
  };
  const groups = { heartbeat, join: async () => undefined, leave: async () => undefined } as Partial<GroupStore>;
  const tail = createTail();
  const settings = { instance: 'a', heartbeatMs: HEARTBEAT_MS, leaseMs: LEASE_MS };
  const presence = createPresence(settings, groups as GroupStore, tail, clock, createLog('silent'), () => undefined);
  await presence.start();
  t.after(() => presence.stop());
  const beat = async (members: readonly string[] | Error, times = 1): Promise<boolean> => {
    seen = members;
    for (let beats = 0; beats < times; beats++) {
      heart();
      await turn();
    }
    return tail.alone;
  };
  return { beat, presence, pauses };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('who has seen no other process for a lease is alone', async (t) => {
  const { beat } = await openPresence(t);
  assert.equal(await beat(['a'], 4), false);
  assert.equal(await beat(['a']), true);
  assert.equal(await beat(['a', 'b']), false);
});

test('others that were put out because nobody could reach the database are waited for', async (t) => {
  const { beat } = await openPresence(t);
  await beat(['a', 'b']);
  assert.equal(await beat(new Error('PostgreSQL is out of reach'), 6), false);
  assert.equal(await beat(['a']), false, 'b has just been put out, and may live');
  assert.equal(await beat(['a', 'b.1']), false);
  assert.equal(await beat(['a'], 5), false);
  assert.equal(await beat(['a']), true);
});

test('who was put out goes on only when the others have had the time to see that it is back', async (t) => {
  const { beat, presence, pauses } = await openPresence(t);
  await beat(['a', 'b']);
  await presence.announce();
  assert.equal(pauses.length, 0, 'it was not put out of the processes, so nobody believes to be alone');
  await beat(['b', 'a.1']);
  assert.equal(pauses.length, 1);
  let announced = false;
  const announcing = presence.announce().then(() => {
    announced = true;
  });
  await turn();
  assert.equal(announced, false);
  for (const end of pauses) end();
  await announcing;
});

test('who cannot say that it lives must not go on', async (t) => {
  const { beat, presence } = await openPresence(t);
  await beat(new Error('PostgreSQL is out of reach'));
  await assert.rejects(presence.announce(), UnavailableError);
});
