import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createPool, type Pool } from '#kernel/postgres/pool.ts';
import { createPostgresTurns } from '#kernel/postgres/turns.ts';
import { onEnd } from '../support/cleanup.ts';
import { createDatabase } from '../support/postgres.ts';

const SETTINGS = { applicationName: 'turns', maxConnections: 2, statementTimeoutMs: 10_000 };

async function openPools(t: TestContext): Promise<readonly [Pool, Pool]> {
  const url = await createDatabase();
  const open = (): Pool => {
    const pool = createPool({ url, ...SETTINGS }, () => undefined);
    onEnd(t, () => pool.close());
    return pool;
  };
  return [open(), open()];
}

test('work of two processes under one name does not overlap, and under another it may', async (t) => {
  const [one, other] = (await openPools(t)).map(createPostgresTurns);
  let inside = 0;
  const work = async (): Promise<number> => {
    inside += 1;
    await sleep(20);
    const seen = inside;
    inside -= 1;
    return seen;
  };
  const turns = [one!, other!, one!, other!].map((turn) => turn.take('wallets', work));
  assert.deepEqual(await Promise.all(turns), [1, 1, 1, 1]);
  await one!.take('wallets', () => other!.take('fraud', async () => assert.equal(inside, 0)));
});

test('others see that a process has its turn', async (t) => {
  const [one, other] = (await openPools(t)).map(createPostgresTurns);
  assert.equal(await other!.taken('wallets'), false);
  await one!.take('wallets', async () => {
    assert.equal(await other!.taken('wallets'), true);
    assert.equal(await other!.taken('fraud'), false);
  });
  assert.equal(await other!.taken('wallets'), false);
});

test('what fails in its turn fails, and the next has its turn', async (t) => {
  const [one, other] = (await openPools(t)).map(createPostgresTurns);
  const failing = one!.take('wallets', () => Promise.reject(new Error('a conflict')));
  await assert.rejects(failing, /a conflict/);
  assert.equal(await other!.take('wallets', async () => 7), 7);
});

test('who never ends its turn is not waited for, and who loses it has worked all the same', async (t) => {
  const [one, other] = await openPools(t);
  let end: () => void = () => undefined;
  const begun = Promise.withResolvers<void>();
  const first = createPostgresTurns(one).take('wallets', async () => {
    begun.resolve();
    await new Promise<void>((resolve) => {
      end = resolve;
    });
    return 'first';
  });
  await begun.promise;
  let times = 0;
  const second = await createPostgresTurns(other).take('wallets', async () => {
    times += 1;
    return 'second';
  });
  assert.deepEqual([second, times], ['second', 1]);
  await other.query(
    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()",
  );
  end();
  assert.equal(await first, 'first');
});
