import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOwnerCheck } from './owners.ts';

const SETTINGS = { graceMs: 1000, everyMs: 100 };

/** A check whose sagas and time the test decides. */
function createScene() {
  const scene = { now: 0, due: [] as readonly string[], asked: [] as number[] };
  const check = createOwnerCheck(SETTINGS, {
    dueSagas: async (now) => {
      scene.asked.push(now);
      return scene.due;
    },
    lastEvent: async () => undefined,
    clock: { now: () => scene.now },
  });
  const lookAt = async (now: number, due: readonly string[]): Promise<readonly (string | undefined)[]> => {
    scene.now = now;
    scene.due = due;
    return (await check.look([])).map(({ subject }) => subject);
  };
  return { scene, check, lookAt };
}

test('a saga is told of that is overdue for the grace, and for the grace after that', async () => {
  const { scene, lookAt } = createScene();
  assert.deepEqual(await lookAt(5000, ['a']), []);
  assert.deepEqual(await lookAt(5900, ['a', 'b']), []);
  assert.deepEqual(await lookAt(6000, ['a', 'b']), ['a']);
  assert.deepEqual(scene.asked, [4000, 4900, 5000]);
});

test('one that was looked after meanwhile gets the grace anew', async () => {
  const { lookAt } = createScene();
  await lookAt(5000, ['a']);
  await lookAt(5500, []);
  assert.deepEqual(await lookAt(6000, ['a']), []);
  assert.deepEqual(await lookAt(7000, ['a']), ['a']);
});

test('after an outage all get the grace anew', async () => {
  const { check, lookAt } = createScene();
  await lookAt(5000, ['a']);
  check.clear();
  assert.deepEqual(await lookAt(9000, ['a']), []);
});

test('it asks at its own pace', async () => {
  const { scene, lookAt } = createScene();
  await lookAt(5000, []);
  await lookAt(5050, []);
  assert.equal(scene.asked.length, 1);
});
