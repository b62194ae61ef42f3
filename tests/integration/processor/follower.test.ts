import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Store } from '#kernel/event-store/store.ts';
import { append, newStream, openWriter, pending } from '../../support/appending.ts';
import { describeBackends } from '../../support/backends.ts';
import { faultyView } from '../../support/faulty.ts';
import { startToyFollower } from '../../support/toy-process.ts';
import { added } from '../../support/toy-service.ts';
import { COUNTERS } from '../../support/toy-tables.ts';
import { additions } from '../../support/toy-work.ts';
import { until } from '../../support/until.ts';

const STREAMS = Array.from({ length: 9 }, () => newStream());

/** Fails unless the rows are what the events of the log add up to. */
async function checkRows(store: Store): Promise<void> {
  const expected = new Map<string, number>();
  for (const { data } of await additions(store)) {
    expected.set(data.counter_id, (expected.get(data.counter_id) ?? 0) + data.n);
  }
  const rows = await store.loadRows(
    COUNTERS,
    STREAMS.map(({ id }) => [id]),
  );
  assert.deepEqual(new Map(rows.map((row) => [row.id, row.total])), expected);
}

/** Adds to every counter, commit by commit. @returns a function that does so from a position on */
async function openAdder(t: Parameters<typeof openWriter>[0], store: Store) {
  const writer = await openWriter(t, store, 'adder');
  return async (position: number): Promise<void> => {
    for (const [i, stream] of STREAMS.entries()) {
      const event = pending({ counter_id: stream.id, n: position + i, total: 0 }, added.type);
      await writer.commit({ appends: [append(stream, position, event)] });
    }
  };
}

describeBackends('a read model that follows the log', (open) => {
  test('equals the fold of the events, and has no lag', async (t) => {
    const backend = await open(t);
    const add = await openAdder(t, backend.store);
    await add(0);
    const { follower, tail } = await startToyFollower(t, backend);
    for (let position = 1; position < 6; position++) {
      await add(position);
      tail.wake();
    }
    await until('it has caught up', async () => (await follower.lag()) === 0);
    await checkRows(backend.store);
  });

  test('skips nothing when the store is out of reach in mid-batch, for any time', async (t) => {
    const backend = await open(t);
    const view = faultyView(backend);
    const add = await openAdder(t, backend.store);
    const { follower, tail } = await startToyFollower(t, backend, view);
    for (let position = 0; position < 4; position++) {
      await add(position);
      tail.wake();
      view.switches.down = true;
      await new Promise((resolve) => setTimeout(resolve, 300));
      view.switches.down = false;
    }
    await until('it has caught up', async () => (await follower.lag()) === 0);
    await checkRows(backend.store);
  });

  test('leaves out an event that it cannot take, and goes on with all others', async (t) => {
    const backend = await open(t);
    const writer = await openWriter(t, backend.store, 'adder');
    const [good, bad, later] = STREAMS as [(typeof STREAMS)[0], (typeof STREAMS)[0], (typeof STREAMS)[0]];
    for (const [stream, n] of [
      [good, 1],
      [bad, 'malformed'],
      [later, 3],
    ] as const) {
      await writer.commit({ appends: [append(stream, 0, pending({ counter_id: stream.id, n }, added.type))] });
    }
    await startToyFollower(t, backend);
    const totalOf = async ({ id }: { readonly id: string }) =>
      (await backend.store.loadRows(COUNTERS, [[id]]))[0]?.total;
    await until('it has passed the event', async () => (await totalOf(later)) === 3);
    assert.deepEqual([await totalOf(good), await totalOf(bad)], [1, undefined]);
  });

  test('is kept by one process; another goes on when it stops', async (t) => {
    const backend = await open(t);
    const add = await openAdder(t, backend.store);
    const one = await startToyFollower(t, backend);
    const two = await startToyFollower(t, backend);
    await add(0);
    one.tail.wake();
    two.tail.wake();
    await until('it has caught up', async () => (await one.follower.lag()) + (await two.follower.lag()) === 0);
    await one.follower.stop();
    await add(1);
    await until('the other has caught up', async () => {
      two.tail.wake();
      const rows = await backend.store.loadRows(COUNTERS, [[STREAMS[8]!.id]]);
      return rows[0]?.total === 8 + 9;
    });
    await checkRows(backend.store);
  });
});
