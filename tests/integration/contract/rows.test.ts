import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConflictError, DataError } from '#kernel/core/errors.ts';
import type { Row } from '#kernel/core/table.ts';
import type { Store } from '#kernel/event-store/store.ts';
import { append, newStream, openWriter } from '../../support/appending.ts';
import { describeBackends } from '../../support/backends.ts';
import { COUNTERS, TOTALS } from '../../support/toy-tables.ts';

function counter(fields: Partial<Row> = {}): Row & { readonly id: string } {
  const row = { total: 1, note: 'ä "b"', open: true, detail: { list: [1, null] }, changed_at: 1_793_000_000_123 };
  return { ...row, ...fields, id: (fields.id as string) ?? newStream().id };
}

/** The sum over all stripes of a total, for a few possible stripes. */
async function total(store: Store, name: string): Promise<readonly [amount: number, entries: number]> {
  const keys = Array.from({ length: 10 }, (_, stripe) => [name, stripe]);
  const rows = await store.loadRows(TOTALS, keys);
  return [sum(rows, 'amount'), sum(rows, 'entries')];
}

function sum(rows: readonly Row[], column: string): number {
  return rows.reduce((amount, row) => amount + (row[column] as number), 0);
}

describeBackends('rows', (open) => {
  test('a row comes back as it was written, missing ones are left out', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const row = counter({ total: -Number.MAX_SAFE_INTEGER });
    await writer.commit({ appends: [], rows: [{ table: COUNTERS, rows: [row] }] });
    assert.deepEqual(await store.loadRows(COUNTERS, [[newStream().id], [row.id]]), [row]);
    assert.deepEqual(await store.loadRows(COUNTERS, []), []);
  });

  test('a row replaces the one with its key; what is undefined becomes null', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const row = counter();
    await writer.commit({ appends: [], rows: [{ table: COUNTERS, rows: [row, counter()] }] });
    await writer.commit({
      appends: [],
      rows: [{ table: COUNTERS, rows: [{ id: row.id, total: 2, note: undefined }] }],
    });
    const [found] = await store.loadRows(COUNTERS, [[row.id]]);
    assert.deepEqual(found, { id: row.id, total: 2, note: null, open: null, detail: null, changed_at: null });
  });

  test('rows of a commit that conflicts are not written', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const row = counter();
    const appends = [append(newStream(), 1)];
    await assert.rejects(writer.commit({ appends, rows: [{ table: COUNTERS, rows: [row] }] }), ConflictError);
    assert.deepEqual(await store.loadRows(COUNTERS, [[row.id]]), []);
  });

  test('a value that is not of its column is refused, never cut', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const wrong = [{ total: 1.5 }, { total: Number.NaN }, { total: 2 ** 60 }, { id: 'no-uuid' }, { note: 'a\u0000b' }];
    for (const fields of wrong) {
      const commit = { appends: [], rows: [{ table: COUNTERS, rows: [counter(fields)] }] };
      await assert.rejects(writer.commit(commit), DataError, JSON.stringify(fields));
    }
  });
});

describeBackends('sums', (open) => {
  test('additions of several writers come together, none lost', async (t) => {
    const { store } = await open(t);
    const writers = [await openWriter(t, store, 'a'), await openWriter(t, store, 'b')];
    for (let n = 1; n <= 5; n++) {
      const rows = [{ name: 'hot', amount: n, entries: 1 }];
      await Promise.all(writers.map((writer) => writer.commit({ appends: [], sums: [{ table: TOTALS, rows }] })));
    }
    assert.deepEqual(await total(store, 'hot'), [30, 10]);
  });

  test('those of a commit that conflicts are not added', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const sums = [{ table: TOTALS, rows: [{ name: 'cold', amount: -5, entries: 1 }] }];
    await assert.rejects(writer.commit({ appends: [append(newStream(), 1)], sums }), ConflictError);
    assert.deepEqual(await total(store, 'cold'), [0, 0]);
    await writer.commit({ appends: [append(newStream(), 0)], sums });
    assert.deepEqual(await total(store, 'cold'), [-5, 1]);
  });
});
