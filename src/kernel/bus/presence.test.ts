import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Scheduler } from '../core/clock.ts';
import { UnavailableError } from '../core/errors.ts';
import { createLog } from '../observability/log.ts';
import type { GroupStore } from './group.ts';
import { createPresence } from './presence.ts';
import { createTail } from './tail.ts';

const HEARTBEAT_MS = 1000;
const LEASE_MS = 5000;

/** The presence of process `a`, which sees at each heartbeat whom the test says, and puts out whom it no longer sees. */
async function openPresence() {
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
  let putOut: readonly string[] = [];
  const heartbeat: GroupStore['heartbeat'] = async () => {
    if (seen instanceof Error) throw seen;
    const view = { members: seen, putOut, partitions: [] };
    putOut = [];
    return view;
  };
  const left: string[] = [];
  const leave: GroupStore['leave'] = async (_, member) => {
    left.push(member);
  };
  const groups = { heartbeat, join: async () => undefined, leave } as Partial<GroupStore>;
  const tail = createTail();
  const settings = { instance: 'a', heartbeatMs: HEARTBEAT_MS, leaseMs: LEASE_MS };
  let connected = false;
  const presence = createPresence(settings, {
    groups: groups as GroupStore,
    tail,
    clock,
    log: createLog('silent'),
    notify: () => undefined,
    othersMayWrite: async () => connected,
  });
  await presence.start();
  const beat = async (members: readonly string[] | Error, times = 1): Promise<boolean> => {
    seen = members;
    for (let beats = 0; beats < times; beats++) {
      heart();
      await turn();
    }
    return tail.alone;
  };
  const putsOut = (members: readonly string[]): void => {
    putOut = members;
  };
  const others = (areConnected: boolean): void => {
    connected = areConnected;
  };
  return { beat, putsOut, others, presence, pauses, left, tail };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('who finds no other process, and none that has to be put out, is alone', async () => {
  const { beat, tail } = await openPresence();
  assert.equal(tail.alone, true);
  assert.equal(await beat(['a', 'b']), false);
  assert.equal(await beat(['a']), true);
});

test('it is sure for as long as one that comes waits; after a gap others may have been there', async () => {
  const { beat, tail } = await openPresence();
  const before = tail.generation;
  const sureForMs = tail.aloneUntil - performance.now();
  assert.ok(sureForMs > 0 && sureForMs <= 2 * HEARTBEAT_MS, String(sureForMs));
  await beat(['a']);
  assert.equal(tail.generation, before);
  tail.aloneUntil = performance.now();
  assert.equal(await beat(['a']), true);
  assert.notEqual(tail.generation, before);
  assert.ok(tail.aloneUntil > performance.now());
});

test('who has put out another is alone only after a further lease: the other may live', async () => {
  const { beat, putsOut } = await openPresence();
  await beat(['a', 'b']);
  putsOut(['b']);
  assert.equal(await beat(['a'], 5), false);
  assert.equal(await beat(['a']), true);
});

test('who has put out another is not alone as long as that is connected: it may be frozen, and write when it wakes', async () => {
  const { beat, putsOut, others } = await openPresence();
  await beat(['a', 'b']);
  putsOut(['b']);
  others(true);
  assert.equal(await beat(['a'], 20), false);
  others(false);
  assert.equal(await beat(['a']), true);
});

test('others that were put out because nobody could reach the database are waited for', async () => {
  const { beat, putsOut } = await openPresence();
  await beat(['a', 'b']);
  assert.equal(await beat(new Error('PostgreSQL is out of reach'), 6), false);
  putsOut(['b']);
  assert.equal(await beat(['a']), false, 'b has just been put out, and may live');
  assert.equal(await beat(['a', 'b.1']), false);
  assert.equal(await beat(['a'], 3), false);
  assert.equal(await beat(['a']), true);
});

test('who could not reach the database may have been put out, and others too', async () => {
  const { beat } = await openPresence();
  assert.equal(await beat(new Error('PostgreSQL is out of reach')), false);
  assert.equal(await beat(['a'], 5), false);
  assert.equal(await beat(['a']), true);
});

test('who was put out enters again, and is alone only after a lease', async () => {
  const { beat } = await openPresence();
  assert.equal(await beat(['b']), false);
  assert.equal(await beat(['a.1'], 5), false);
  assert.equal(await beat(['a.1']), true);
});

test('who stops leaves, but for one that has just put out another: whoever comes next has to be in doubt too', async () => {
  const calm = await openPresence();
  await calm.beat(['a', 'b']);
  await calm.presence.stop();
  assert.deepEqual(calm.left, ['a']);

  const doubtful = await openPresence();
  doubtful.putsOut(['b']);
  await doubtful.beat(['a'], 5);
  await doubtful.presence.stop();
  assert.deepEqual(doubtful.left, []);
});

test('who was put out goes on only when the others have had the time to see that it is back', async () => {
  const { beat, presence, pauses } = await openPresence();
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

test('who cannot say that it lives must not go on', async () => {
  const { beat, presence } = await openPresence();
  await beat(new Error('PostgreSQL is out of reach'));
  await assert.rejects(presence.announce(), UnavailableError);
});
