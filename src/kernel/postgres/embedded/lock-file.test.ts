import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { withLockFile } from './lock-file.ts';

const NO_PROCESS = 2 ** 30;

let folder: string;
let lock: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'caudal-lock-'));
  lock = join(folder, 'x.lock');
});

afterEach(() => rm(folder, { recursive: true }));

test('lets one in at a time, and leaves nothing behind', async () => {
  let inside = 0;
  const results = await Promise.all(
    Array.from({ length: 5 }, (_, index) =>
      withLockFile(lock, async () => {
        inside += 1;
        for (let turn = 0; turn < 10; turn += 1) await nextTurn();
        assert.equal(inside, 1);
        inside -= 1;
        return index;
      }),
    ),
  );
  assert.deepEqual(results, [0, 1, 2, 3, 4]);
  assert.deepEqual(await readdir(folder), []);
});

test('is released when the work fails', async () => {
  await assert.rejects(
    withLockFile(lock, () => Promise.reject(new Error('no'))),
    /no/,
  );
  assert.equal(await withLockFile(lock, async () => 'again'), 'again');
});

test('is taken over when its holder is gone', async () => {
  await writeFile(lock, `${NO_PROCESS} some-id`);
  assert.equal(await withLockFile(lock, async () => 'mine'), 'mine');
  assert.deepEqual(await readdir(folder), []);
});

test('is taken over when another program has the process id of its holder, which shows no heartbeat', async () => {
  await writeFile(lock, `${process.pid} some-id`);
  const longAgo = new Date(Date.now() - 60_000);
  await utimes(lock, longAgo, longAgo);
  assert.equal(await withLockFile(lock, async () => 'mine'), 'mine');
});
