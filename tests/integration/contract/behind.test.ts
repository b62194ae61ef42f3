import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BatchBeforeFailedError, ConflictError } from '#kernel/core/errors.ts';
import type { Commit, Committed, Writer } from '#kernel/event-store/store.ts';
import { append, newStream, openWriter, wholeLog } from '../../support/appending.ts';
import { describeBackends } from '../../support/backends.ts';
import { COUNTERS } from '../../support/toy-tables.ts';

const ABSENT = 7;

/** Hands in commits, each to go on from the one before it, without waiting for any. */
function handIn(writer: Writer, ...batches: readonly Commit[]) {
  let last: Promise<Committed> | undefined;
  return Promise.allSettled(
    batches.map((batch) => {
      last = writer.commit(last === undefined ? batch : { ...batch, after: last });
      return last;
    }),
  );
}

function reasons(outcomes: readonly PromiseSettledResult<unknown>[]): readonly string[] {
  return outcomes.map((outcome) => (outcome.status === 'rejected' ? (outcome.reason as Error).name : 'committed'));
}

describeBackends('a commit that goes on from another, which is under way', (open) => {
  test('goes on from it', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const stream = newStream();
    const batches = [0, 1, 2, 3].map((position) => ({ appends: [append(stream, position), append(newStream(), 0)] }));
    const [first] = batches;
    await writer.commit({ appends: [append(newStream(), 0)] });
    const outcomes = await handIn(writer, first!, ...batches.slice(1));
    const places = outcomes.flatMap((outcome) =>
      outcome.status === 'fulfilled' ? outcome.value.events.map(({ chainPosition }) => chainPosition) : [],
    );
    assert.deepEqual(places, [2, 3, 4, 5, 6, 7, 8, 9]);
    const read = await store.readStream(stream, { limit: 10 });
    assert.deepEqual(
      read.map(({ streamPosition }) => streamPosition),
      [1, 2, 3, 4],
    );
  });

  test('takes no effect when that takes none, whatever it holds, and nor does what is behind it', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const [stream, row] = [newStream(), newStream()];
    await writer.commit({ appends: [append(stream, 0)] });
    const rows = [
      { table: COUNTERS, rows: [{ id: row.id, total: 1, note: null, open: true, detail: null, changed_at: 0 }] },
    ];
    const outcomes = await handIn(
      writer,
      { appends: [append(stream, ABSENT)] },
      { appends: [append(stream, 1)] },
      { appends: [], rows },
      { appends: [append(newStream(), 0)], rows },
    );
    const { name } = BatchBeforeFailedError;
    assert.deepEqual(reasons(outcomes), [ConflictError.name, name, name, name]);
    assert.equal((await wholeLog(store)).length, 1);
    assert.deepEqual(await store.loadRows(COUNTERS, [[row.id]]), []);
    const { events } = await writer.commit({ appends: [append(stream, 1)] });
    assert.equal(events[0]!.chainPosition, 2);
  });

  test('may be refused by itself', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const stream = newStream();
    await writer.commit({ appends: [append(stream, 0)] });
    const outcomes = await handIn(
      writer,
      { appends: [append(stream, 1)] },
      { appends: [append(stream, ABSENT)] },
      { appends: [append(stream, 2)] },
    );
    assert.deepEqual(reasons(outcomes), ['committed', ConflictError.name, BatchBeforeFailedError.name]);
    await writer.commit({ appends: [append(stream, 2)] });
    assert.equal((await wholeLog(store)).length, 3);
  });

  test('takes no effect when it is handed in after that failed', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const failed = writer.commit({ appends: [append(newStream(), ABSENT)] });
    await assert.rejects(failed, ConflictError);
    await assert.rejects(writer.commit({ appends: [append(newStream(), 0)], after: failed }), BatchBeforeFailedError);
    assert.equal((await wholeLog(store)).length, 0);
  });

  test('holds the place of one that cannot be stored: what comes next waits for both', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const stream = newStream();
    await writer.commit({ appends: [append(stream, 0)] });
    const counter = { id: newStream().id, note: null, open: true, detail: null, changed_at: 0 };
    const rows = (total: number) => [{ table: COUNTERS, rows: [{ ...counter, total }] }];
    const outcomes = await handIn(
      writer,
      { appends: [append(stream, ABSENT)] },
      { appends: [append(newStream(), 0)], rows: rows(2 ** 60) },
      { appends: [], rows: rows(1) },
    );
    assert.ok(outcomes.every(({ status }) => status === 'rejected'));
    assert.deepEqual(await store.loadRows(COUNTERS, [[counter.id]]), []);
  });

  test('is not what one is that does not say so: that only comes after it', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const stream = newStream();
    await writer.commit({ appends: [append(stream, 0)] });
    const outcomes = await Promise.allSettled([
      writer.commit({ appends: [append(stream, ABSENT)] }),
      writer.commit({ appends: [append(stream, 1)] }),
      writer.commit({ appends: [append(stream, 2)] }),
    ]);
    assert.deepEqual(reasons(outcomes), [ConflictError.name, 'committed', 'committed']);
  });
});
