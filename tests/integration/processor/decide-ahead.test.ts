import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GroupStore } from '#kernel/bus/group.ts';
import { ConflictError, DataError, MembershipLostError, UnavailableError } from '#kernel/core/errors.ts';
import type { Store } from '#kernel/event-store/store.ts';
import { newStream } from '../../support/appending.ts';
import { type Backend, describeBackends, openMemory, openPostgres } from '../../support/backends.ts';
import { startToyProcess } from '../../support/toy-process.ts';
import {
  add,
  additions,
  additionsMade,
  checkExactlyOnce,
  checkReadModels,
  openToyClient,
} from '../../support/toy-work.ts';
import { until } from '../../support/until.ts';

const STORM_ROUNDS = 12;
const MOST_ROUNDS = 200;
const LET_BATCHES_FORM_MS = 15;
const NEVER_MS = 3_600_000;
const OFTEN_MS = 50;
/** A few heartbeats of the toy's processes. */
const HEARTBEATS_MS = 100;

/** A store whose commits wait while the gate is closed, and end as the test says. */
interface GatedStore {
  readonly store: Store;
  close(): void;
  open(): void;
  /** What commits end with instead, one each. */
  readonly faults: Error[];
  /** Batches that were handed in while another was being committed. */
  readonly behind: () => number;
}

function gatedStore({ store }: Backend): GatedStore {
  let behind = 0;
  let underway = 0;
  let open: () => void = () => undefined;
  let gate = Promise.resolve();
  const faults: Error[] = [];
  return {
    faults,
    behind: () => behind,
    close: () => {
      gate = new Promise((resolve) => {
        open = resolve;
      });
    },
    open: () => open(),
    store: {
      ...store,
      openWriter: async (name) => {
        const writer = await store.openWriter(name);
        const commit: typeof writer.commit = async (batch) => {
          await gate;
          const fault = batch.appends.length > 0 ? faults.shift() : undefined;
          if (fault !== undefined) throw fault;
          return writer.commit(batch);
        };
        return {
          ...writer,
          commit: (batch) => {
            if (underway > 0) behind += 1;
            underway += 1;
            const committed = commit(batch);
            const end = (): void => {
              underway -= 1;
            };
            committed.then(end, end);
            return committed;
          },
        };
      },
    },
  };
}

/** @param heartbeatMs a batch is not decided ahead while a heartbeat's news wait: without heartbeats it surely is */
async function start(t: TestContext, backend: Backend, heartbeatMs = NEVER_MS) {
  const gated = gatedStore(backend);
  const toy = await startToyProcess(t, backend, { store: gated.store, alone: true, settings: { heartbeatMs } });
  return { gated, toy, processor: toy.processor };
}

/** One addition that is being committed, and two that were decided meanwhile on what it leads to. */
async function twoBatches(t: TestContext, backend: Backend) {
  const started = await start(t, backend);
  const { gated, processor } = started;
  const [a, b] = [newStream().id, newStream().id];
  gated.close();
  const first = add({ processor }, { id: a, n: 5 });
  await until('it is under way', () => processor.status().queuedRequests === 0);
  const next = [add({ processor }, { id: a, n: 1, least: 5 }), add({ processor }, { id: b, n: 2 })];
  const outcomes = Promise.allSettled([first, ...next]);
  await until('the next batch is decided', () => gated.behind() === 1);
  return { ...started, a, b, outcomes };
}

async function totals(backend: Backend, ...counters: readonly string[]): Promise<readonly number[]> {
  const made = await additions(backend.store);
  await checkReadModels(backend.store, made);
  return counters.map((id) => made.reduce((sum, { data }) => sum + (data.counter_id === id ? data.n : 0), 0));
}

describeBackends('a batch that is decided while the one before it commits', (open) => {
  test('goes on from what that leads to, and is answered after it', async (t) => {
    const backend = await open(t);
    const { gated, a, b, outcomes, processor, toy } = await twoBatches(t, backend);
    let answered = false;
    void outcomes.then(() => {
      answered = true;
    });
    assert.equal(
      (await processor.load<{ total: number }>('counter', a)).state.total,
      0,
      'nobody sees what is not committed',
    );
    assert.equal(answered, false);
    assert.deepEqual(await totals(backend, a, b), [0, 0]);
    gated.open();
    assert.deepEqual(
      (await outcomes).map((outcome) => (outcome as PromiseFulfilledResult<number>).value),
      [5, 6, 2],
    );
    assert.equal(toy.conflicts(), 0);
    assert.deepEqual(await totals(backend, a, b), [6, 2]);
  });

  test('is decided anew when that meets a conflict', async (t) => {
    const backend = await open(t);
    const { gated, a, b, outcomes, toy } = await twoBatches(t, backend);
    gated.faults.push(new ConflictError('another was first, says the test'));
    gated.open();
    assert.ok((await outcomes).every(({ status }) => status === 'fulfilled'));
    assert.equal(toy.conflicts(), 1);
    assert.deepEqual(await totals(backend, a, b), [6, 2]);
  });

  test('takes no effect when that does not, and nobody is told otherwise', async (t) => {
    const backend = await open(t);
    const { gated, a, b, outcomes, processor } = await twoBatches(t, backend);
    gated.faults.push(new UnavailableError('out of reach, says the test'));
    gated.open();
    for (const outcome of await outcomes)
      assert.ok(outcome.status === 'rejected' && outcome.reason instanceof UnavailableError);
    assert.deepEqual(await totals(backend, a, b), [0, 0]);
    await until('it goes on', () => processor.status().available);
    assert.equal(await add({ processor }, { id: a, n: 3 }), 3);
  });

  test('is tried again item by item when that holds something the store refuses', async (t) => {
    const backend = await open(t);
    const { gated, a, b, outcomes } = await twoBatches(t, backend);
    gated.faults.push(new Error('a defect, says the test'));
    gated.open();
    const [first, ...next] = await outcomes;
    assert.equal(first!.status, 'rejected');
    assert.ok(next.every(({ status }) => status === 'fulfilled'));
    assert.deepEqual(await totals(backend, a, b), [0, 2], 'what the second asks for depends on the first');
  });

  test('is finished when the process stops', async (t) => {
    const backend = await open(t);
    const { gated, a, b, outcomes, processor } = await twoBatches(t, backend);
    const stopped = processor.stop();
    gated.open();
    await stopped;
    assert.ok((await outcomes).every(({ status }) => status === 'fulfilled'));
    assert.deepEqual(await totals(backend, a, b), [6, 2]);
  });

  test('leaves nothing out when the process stops and the one before it is refused', async (t) => {
    const backend = await open(t);
    const { gated, toy, processor } = await start(t, backend);
    const client = await openToyClient(t, backend, [toy]);
    gated.close();
    await client.ask(...Array.from({ length: 20 }, (_, i) => ({ counter_id: newStream().id, n: i + 1 })));
    await until('the next batch is decided', () => gated.behind() > 0);
    gated.faults.push(new DataError('refused, says the test'));
    const own = Promise.allSettled([1, 2].map((n) => add({ processor }, { id: newStream().id, n })));
    const stopped = processor.stop();
    gated.open();
    await Promise.all([stopped, own]);
    const heir = await startToyProcess(t, backend, { alone: true });
    heir.tail.wake();
    const caused = async () =>
      (await additions(backend.store)).filter(({ metadata }) => metadata.causationid !== undefined).length;
    await until('all is handled', async () => (await caused()) >= 20);
    assert.equal(await caused(), 20);
  });

  test('does not overtake a message that failed', async (t) => {
    const backend = await open(t);
    const counter = newStream().id;
    let healthy = false;
    const decide = ({ n }: { n: number }) => (n === 1 && !healthy ? new Error('a neighbour is down') : undefined);
    const toy = await startToyProcess(t, backend, { faults: { decide }, alone: true });
    const client = await openToyClient(t, backend, [toy]);
    await client.ask(...Array.from({ length: 40 }, (_, i) => ({ counter_id: counter, n: i + 1 })));
    await until('it failed', async () => (await backend.errorLog()).some(({ attempts }) => attempts === 1));
    assert.equal((await additions(backend.store)).length, 0);
    healthy = true;
    backend.clock.advance(2000);
    await additionsMade(backend.store, 40);
    await checkExactlyOnce(backend.store);
  });

  test('a storm of messages and requests, and of every fault of a commit, loses and doubles nothing', async (t) => {
    const backend = await open(t);
    const { gated, toy, processor } = await start(t, backend, OFTEN_MS);
    const client = await openToyClient(t, backend, [toy]);
    const counters = Array.from({ length: 6 }, () => newStream().id);
    const kinds = [ConflictError, UnavailableError, Error];
    let asked = 0;
    const wave = async (fault?: Error): Promise<void> => {
      gated.close();
      await client.ask(...Array.from({ length: 24 }, (_, i) => ({ counter_id: counters[i % 6]!, n: ++asked })));
      if (fault !== undefined) gated.faults.push(fault);
      const own = Promise.allSettled(
        Array.from({ length: 10 }, () => add({ processor }, { id: newStream().id, n: 1 })),
      );
      await sleep(LET_BATCHES_FORM_MS);
      gated.open();
      await own;
    };
    const handled = async () =>
      (await additions(backend.store)).filter(({ data }) => counters.includes(data.counter_id));
    const allHandled = (): Promise<void> =>
      until('all is handled', async () => {
        // A message that met a fault when it stood alone is tried again after a while.
        backend.clock.advance(500);
        return (await handled()).length >= asked;
      });
    for (let round = 0; round < STORM_ROUNDS; round++) await wave(new kinds[round % kinds.length]!('says the test'));
    await allHandled();
    // While messages wait to be tried again nothing is decided ahead, nor on a busy machine while the news of a heartbeat wait.
    for (let round = 0; round < MOST_ROUNDS && gated.behind() === 0; round++) await wave();
    await allHandled();
    const made = await handled();
    assert.equal(made.length, asked);
    for (const id of counters) {
      const numbers = made.filter(({ data }) => data.counter_id === id).map(({ data }) => data.n as number);
      assert.deepEqual(
        numbers,
        numbers.toSorted((x, y) => x - y),
        'in the order in which they were asked',
      );
      assert.equal(new Set(numbers).size, numbers.length);
    }
    await checkReadModels(backend.store, await additions(backend.store));
    assert.ok(gated.behind() > 0);
  });
});

test('a batch decided ahead that cannot be encoded is tried again item by item', async (t) => {
  const backend = await openPostgres(t);
  const { gated, processor } = await start(t, backend);
  gated.close();
  const first = add({ processor }, { id: newStream().id, n: 1 });
  await until('it is under way', () => processor.status().queuedRequests === 0);
  const large = [0, 1].map(() => add({ processor }, { id: newStream().id, n: Number.MAX_SAFE_INTEGER }));
  const outcomes = Promise.allSettled([first, ...large]);
  await until('the next batch is decided', () => gated.behind() === 1);
  gated.open();
  assert.ok(
    (await outcomes).every(({ status }) => status === 'fulfilled'),
    'their sum is past 2^53, each alone is not',
  );
  assert.equal(await add({ processor }, { id: newStream().id, n: 1 }), 1);
});

test('a member that was put out stops although requests wait', async (t) => {
  const backend = openMemory();
  const gated = gatedStore(backend);
  let putOut = false;
  const heartbeat: GroupStore['heartbeat'] = async (...args) => {
    const seen = await backend.groups.heartbeat(...args);
    return putOut ? { ...seen, members: [] } : seen;
  };
  const groups = { ...backend.groups, heartbeat };
  const { processor } = await startToyProcess(t, backend, { store: gated.store, groups });
  gated.close();
  const first = add({ processor }, { id: newStream().id, n: 1 });
  await until('it is under way', () => processor.status().queuedRequests === 0);
  const second = add({ processor }, { id: newStream().id, n: 2 });
  const outcomes = Promise.allSettled([first, second]);
  putOut = true;
  await sleep(HEARTBEATS_MS);
  gated.faults.push(new MembershipLostError('put out, says the test'));
  const stopped = processor.stop();
  gated.open();
  await stopped;
  await outcomes;
});
