import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { createLanes } from './lanes.ts';

test('within a lane work runs in order, lanes side by side', async () => {
  const lanes = createLanes(100);
  const begun: string[] = [];
  const gates = new Map<string, () => void>();
  const work = (name: string) => () =>
    new Promise<void>((resolve) => {
      begun.push(name);
      gates.set(name, resolve);
    });
  for (const name of ['a1', 'a2', 'b1', 'a3', 'b2']) await lanes.put(name[0]!, work(name));
  await turn();
  assert.deepEqual(begun, ['a1', 'b1']);
  gates.get('b1')!();
  await turn();
  assert.deepEqual(begun, ['a1', 'b1', 'b2']);
  for (const name of ['a1', 'b2', 'a2', 'a3']) {
    gates.get(name)!();
    await turn();
  }
  await lanes.finish();
  assert.deepEqual(begun, ['a1', 'b1', 'b2', 'a2', 'a3']);
});

test('no more may be put than is allowed to wait', async () => {
  const lanes = createLanes(2);
  let open: () => void = () => undefined;
  await lanes.put('a', () => new Promise<void>((resolve) => (open = resolve)));
  let accepted = false;
  const second = lanes
    .put('b', () => new Promise<void>(() => undefined))
    .then(() => {
      accepted = true;
    });
  await turn();
  assert.equal(accepted, false);
  open();
  await second;
});

test('after a failure nothing new begins, and whoever puts or waits is told', async () => {
  const lanes = createLanes(10);
  let begun = 0;
  await lanes.put('a', () => Promise.reject(new Error('no more')));
  await turn();
  await assert.rejects(
    lanes.put('a', async () => void begun++),
    /no more/,
  );
  await assert.rejects(lanes.finish(), /no more/);
  assert.equal(begun, 0);
});
