import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makePartitionsAhead } from '#kernel/event-store/postgres/months.ts';
import { monthOf } from '#kernel/event-store/store.ts';
import type { Pool } from '#kernel/postgres/pool.ts';
import { append, newStream, openWriter } from '../../support/appending.ts';
import { openPostgres } from '../../support/backends.ts';

async function partitions(pool: Pool): Promise<readonly string[]> {
  const rows = await pool.query<{ name: string }>(
    `SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'events'::regclass ORDER BY 1`,
  );
  return rows.map((row) => row.name);
}

test('the partition of a month is made by the first append into it', async (t) => {
  const { store, pool, clock } = await openPostgres(t);
  const writer = await openWriter(t, store);
  assert.deepEqual(await partitions(pool), []);
  for (const moment of ['2026-12-31T23:59:59.999Z', '2027-01-01T00:00:00Z', '2027-04-02T00:00:00Z']) {
    clock.set(moment);
    await writer.commit({ appends: [append(newStream(), 0)] });
  }
  assert.deepEqual(await partitions(pool), ['events_2026_12', 'events_2027_01', 'events_2027_04']);
});

test('partitions are made ahead, again and again, and by several at once', async (t) => {
  const { pool } = await openPostgres(t);
  const now = Date.parse('2026-11-30T12:00:00Z');
  await Promise.all([1, 2, 3].map(() => makePartitionsAhead(pool, now, 2)));
  const names = await makePartitionsAhead(pool, now, 2);
  assert.deepEqual(names, ['events_2026_11', 'events_2026_12', 'events_2027_01']);
  assert.deepEqual(await partitions(pool), names);
});

test('a partition that disappeared is made again', async (t) => {
  const { store, pool, clock } = await openPostgres(t);
  clock.set('2026-11-22T00:00:00Z');
  const writer = await openWriter(t, store);
  await writer.commit({ appends: [append(newStream(), 0)] });
  await pool.query('DROP TABLE events_2026_11');
  await writer.commit({ appends: [append(newStream(), 0)] });
  assert.deepEqual(await partitions(pool), ['events_2026_11']);
});

test('an append under way at the turn of the month is stored in the month that it entered', async (t) => {
  const { storeWith, pool } = await openPostgres(t);
  const turn = Date.parse('2026-11-01T00:00:00Z');
  await makePartitionsAhead(pool, turn - 1, 2);
  let now = turn - 2;
  const writer = await openWriter(t, storeWith({ now: () => now++ }), 'turning');
  for (let n = 0; n < 4; n++) {
    const { month } = await writer.commit({ appends: [append(newStream(), 0)] });
    const [row] = await pool.query<{ created_at: number }>('SELECT max(created_at) AS created_at FROM events');
    assert.equal(monthOf(row!.created_at), month);
  }
});
