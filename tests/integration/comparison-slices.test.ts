import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LogSlice } from '#kernel/bus/comparison.ts';
import { LANDINGS, landingsOf } from '#kernel/bus/landings.ts';
import { planSlices, readNotes } from '#kernel/bus/postgres/comparisons.ts';
import { openWriter } from '../support/appending.ts';
import { openPostgres } from '../support/backends.ts';

const WHOLE: LogSlice = { from: { 1: 10 }, to: { 1: 18, 2: 3 } };

type Events = readonly (readonly [chain: number, position: number])[];

/** Four commits of the relay, each with the same events on `old` and on `new`; the first is from before the slice. */
async function open(t: Parameters<typeof openPostgres>[0]) {
  const { store, pool } = await openPostgres(t);
  const writer = await openWriter(t, store, 'relay');
  const commits: readonly Events[] = [
    [[1, 10]],
    [
      [1, 11],
      [2, 1],
      [1, 14],
    ],
    [[1, 15]],
    [
      [1, 18],
      [2, 3],
    ],
  ];
  let offset = 0;
  for (const [i, events] of commits.entries()) {
    const rows = ['old', 'new'].flatMap((topic) =>
      landingsOf(
        { topic, partition: topic === 'old' ? 0 : 1 },
        topic === 'old' ? offset : offset + 100,
        events.map(([chain, chainPosition]) => ({ chain, chainPosition })),
        1_790_000_000_000 + i,
      ),
    );
    await writer.commit({ appends: [], rows: [{ table: LANDINGS, rows: rows.map((row) => ({ ...row })) }] });
    offset += events.length;
  }
  return pool;
}

test('a stretch of the log is compared in slices that end with commits of the relay', async (t) => {
  const pool = await open(t);
  const plan = (most: number, size: number) => planSlices(pool, WHOLE, ['old'], { most, size });
  assert.deepEqual(await plan(100, 100), { slices: [WHOLE], leftOut: 0 });
  assert.deepEqual(await plan(100, 4), {
    slices: [
      { from: { 1: 10 }, to: { 1: 15, 2: 1 } },
      { from: { 1: 15, 2: 1 }, to: WHOLE.to },
    ],
    leftOut: 0,
  });
  assert.deepEqual(await plan(100, 1), {
    slices: [
      { from: { 1: 10 }, to: { 1: 14, 2: 1 } },
      { from: { 1: 14, 2: 1 }, to: { 1: 15, 2: 1 } },
      { from: { 1: 15, 2: 1 }, to: WHOLE.to },
    ],
    leftOut: 0,
  });
});

test('of more than can be compared the newest are, and it is told how many are not', async (t) => {
  const pool = await open(t);
  const plan = (most: number) => planSlices(pool, WHOLE, ['old'], { most, size: 100 });
  assert.deepEqual(await plan(3), { slices: [{ from: { 1: 14, 2: 1 }, to: WHOLE.to }], leftOut: 3 });
  assert.deepEqual(
    await plan(1),
    { slices: [{ from: { 1: 15, 2: 1 }, to: WHOLE.to }], leftOut: 4 },
    'at least a commit',
  );
});

test('where nothing landed, there is one slice all the same, and nothing in it', async (t) => {
  const pool = await open(t);
  const empty: LogSlice = { from: WHOLE.to, to: WHOLE.to };
  assert.deepEqual(await planSlices(pool, empty, ['old'], { most: 10, size: 10 }), { slices: [empty], leftOut: 0 });
  assert.equal((await readNotes(pool, empty, ['old', 'new'])).offsets.size, 0);
});

test('where the events of a slice landed is known by topic and partition', async (t) => {
  const pool = await open(t);
  const { offsets } = await readNotes(pool, { from: { 1: 10 }, to: { 1: 15, 2: 1 } }, ['old', 'new']);
  assert.deepEqual(
    [...offsets].map(([name, noted]) => [name, Object.fromEntries(noted)]),
    [
      ['old/0', { '1/11': 1, '2/1': 2, '1/14': 3, '1/15': 4 }],
      ['new/1', { '1/11': 101, '2/1': 102, '1/14': 103, '1/15': 104 }],
    ],
  );
});
