import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { UnavailableError } from '#kernel/core/errors.ts';
import { verifyStore } from '#kernel/event-store/postgres/verify.ts';
import type { Store } from '#kernel/event-store/store.ts';
import { append, newStream, pending } from '../../support/appending.ts';
import { openMemory, openPostgres, type PostgresBackend } from '../../support/backends.ts';
import { faultyView } from '../../support/faulty.ts';
import { startToyProcess } from '../../support/toy-process.ts';
import { add, additionsMade, checkExactlyOnce, openToyClient } from '../../support/toy-work.ts';
import { until } from '../../support/until.ts';

const NEVER_MS = 3_600_000;
/** Longer than it takes a commit to fail. */
const FAILED_MS = 300;
const OUTAGE_MS = 2000;

/** A store whose loads wait while they are held. */
function holdingStore(store: Store) {
  let loads = 0;
  let letPass = (): void => undefined;
  let held: Promise<void> | undefined;
  let from = Number.POSITIVE_INFINITY;
  return {
    isHeld: () => loads > from,
    /** @param after so many loads pass first */
    hold: (after: number) => {
      from = loads + after;
      held = new Promise((resolve) => {
        letPass = resolve;
      });
    },
    release: () => {
      held = undefined;
      letPass();
    },
    store: {
      ...store,
      loadStreams: async (...args: Parameters<Store['loadStreams']>) => {
        loads += 1;
        if (loads > from) await held;
        return store.loadStreams(...args);
      },
    },
  };
}

async function start(t: TestContext, backend: PostgresBackend) {
  const holding = holdingStore(backend.store);
  const settings = { heartbeatMs: NEVER_MS };
  const toy = await startToyProcess(t, backend, { store: holding.store, alone: true, settings });
  return { holding, toy, processor: toy.processor };
}

async function cutWriter({ pool }: PostgresBackend): Promise<void> {
  await pool.query(
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE 'caudal counters%'",
  );
}

/** Keeps what the toy service commits from getting through while `work` runs. */
function holdingCommits<T>({ pool }: PostgresBackend, work: () => Promise<T>): Promise<T> {
  return pool.transaction(async (sql) => {
    await sql.query(
      "SELECT * FROM event_chains WHERE chain IN (SELECT chain FROM events WHERE event_type = 'counter.added') FOR UPDATE",
    );
    return work();
  });
}

test('messages of a batch that fails while the next is being decided are not skipped', async (t) => {
  const backend = await openPostgres(t);
  const { holding, toy } = await start(t, backend);
  const client = await openToyClient(t, backend, [toy]);
  await client.ask({ counter_id: newStream().id, n: 1 });
  await additionsMade(backend.store, 1);
  await holdingCommits(backend, async () => {
    holding.hold(1);
    // Ten are one batch, which waits for its chain; the other five are the next, which waits for its states.
    await client.ask(...Array.from({ length: 15 }, (_, i) => ({ counter_id: newStream().id, n: 100 + i })));
    await until('the next batch loads its states', () => holding.isHeld());
    await cutWriter(backend);
  });
  await sleep(FAILED_MS);
  holding.release();
  await additionsMade(backend.store, 16);
  await checkExactlyOnce(backend.store);
  assert.deepEqual(await verifyStore(backend.pool), []);
});

for (const [what, fail] of [
  ['breaks', cutWriter],
  [
    'meets a conflict',
    async (backend: PostgresBackend, counter: string) => {
      const other = await backend.storeWith(backend.clock).openWriter('other');
      const data = { counter_id: counter, n: 7, total: 8 };
      await other.commit({ appends: [append({ type: 'counter', id: counter }, 1, pending(data))] });
      await other.close();
    },
  ],
] as const) {
  test(`requests decided on a batch that ${what} meanwhile take effect once, or not at all`, async (t) => {
    const backend = await openPostgres(t);
    const { holding, processor } = await start(t, backend);
    const [counter, other] = [newStream().id, newStream().id];
    assert.equal(await add({ processor }, { id: counter, n: 1 }), 1);
    const outcomes = await holdingCommits(backend, async () => {
      const first = add({ processor }, { id: counter, n: 100 });
      await until('it is under way', () => processor.status().queuedRequests === 0);
      await sleep(FAILED_MS);
      holding.hold(0);
      const next = [add({ processor }, { id: counter, n: 10 }), add({ processor }, { id: other, n: 5 })];
      const settled = Promise.allSettled([first, ...next]);
      await until('the next batch loads its states', () => holding.isHeld());
      await fail(backend, counter);
      return { settled };
    });
    await sleep(FAILED_MS);
    holding.release();
    const answered = (await outcomes.settled).map((outcome) =>
      outcome.status === 'fulfilled' ? outcome.value : (outcome.reason as Error).name,
    );
    const events = await backend.store.readStream({ type: 'counter', id: counter }, { limit: 10 });
    const made = events.map(({ data }) => [data.n, data.total]);
    if (fail === cutWriter) {
      assert.deepEqual(answered, Array(3).fill(UnavailableError.name));
      assert.deepEqual(made, [[1, 1]]);
    } else {
      assert.deepEqual(made, [
        [1, 1],
        [7, 8],
        [100, 108],
        [10, 118],
      ]);
      assert.deepEqual(answered, [108, 118, 5]);
    }
    assert.deepEqual(await verifyStore(backend.pool), []);
    await until('it goes on', () => processor.status().available);
    assert.equal(await add({ processor }, { id: counter, n: 1 }), (made.at(-1)![1] as number) + 1);
  });
}

test('requests gathered while the store goes down are told so at once, not after the outage', async (t) => {
  const backend = openMemory();
  const { switches, store, groups, failures } = faultyView(backend);
  let open = (): void => undefined;
  let gate = Promise.resolve();
  const gated: Store = {
    ...store,
    openWriter: async (name) => {
      const writer = await store.openWriter(name);
      const commit: typeof writer.commit = async (batch) => {
        await gate;
        return writer.commit(batch);
      };
      return { ...writer, commit };
    },
  };
  const settings = { heartbeatMs: NEVER_MS };
  const { processor } = await startToyProcess(t, backend, { store: gated, groups, failures, alone: true, settings });
  gate = new Promise((resolve) => {
    open = resolve;
  });
  const first = add({ processor }, { id: newStream().id, n: 1 });
  await until('it is under way', () => processor.status().queuedRequests === 0);
  switches.down = true;
  const outcomes = Promise.allSettled([
    first,
    add({ processor }, { id: newStream().id, n: 1 }),
    add({ processor }, { id: newStream().id, n: 1 }),
  ]);
  await until('the next batch is gathered', () => processor.status().queuedRequests === 0);
  open();
  const inTime = await Promise.race([outcomes, sleep(OUTAGE_MS)]);
  switches.down = false;
  assert.ok(inTime?.every((outcome) => outcome.status === 'rejected' && outcome.reason instanceof UnavailableError));
});
