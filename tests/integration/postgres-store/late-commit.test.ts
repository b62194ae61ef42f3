import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConflictError } from '#kernel/core/errors.ts';
import { createIdSource } from '#kernel/core/ids.ts';
import { append, newStream, openWriter } from '../../support/appending.ts';
import { openPostgres } from '../../support/backends.ts';
import { createManualClock } from '../../support/manual-clock.ts';
import { openRawTransaction } from '../../support/raw-transaction.ts';

test('an event of a transaction that commits late is read after later ones, never skipped', async (t) => {
  const { store, url, clock } = await openPostgres(t);
  const writer = await openWriter(t, store);
  await writer.commit({ appends: [append(newStream(), 0)] });
  const late = await openRawTransaction(t, url, clock.now());
  const stream = newStream();
  await late.begin();
  await late.insert(stream, 1);
  for (let n = 0; n < 5; n++) await writer.commit({ appends: [append(newStream(), 0)] });

  const before = await store.readLog({}, { limit: 100 });
  assert.equal(before.events.length, 6);
  assert.equal(before.atEnd, true);
  await late.commit();
  const after = await store.readLog(before.next, { limit: 100 });
  assert.deepEqual(
    after.events.map((event) => event.aggregateId),
    [stream.id],
  );
  assert.ok(after.events[0]!.sequence! < before.events.at(-1)!.sequence!, 'it had an earlier number');
  assert.deepEqual(after.next, await store.head());
});

test('a month is not entered while a transaction is under way in the one before', async (t) => {
  const { store, storeWith, url, clock } = await openPostgres(t);
  clock.set('2026-10-31T23:00:00Z');
  const stream = newStream('counter', createIdSource(clock).uuid());
  const writer = await openWriter(t, store);
  await writer.commit({ appends: [append(newStream(), 0)] });
  const late = await openRawTransaction(t, url, clock.now());
  await late.begin();

  const next = await openWriter(t, storeWith(createManualClock(Date.parse('2026-11-01T01:00:00Z'))), 'next');
  const entering = next.commit({ appends: [append(stream, 0)] }).catch((error: unknown) => error);
  await sleep(200);
  await late.insert(stream, 1);
  await late.commit();
  assert.ok((await entering) instanceof ConflictError);
  await next.commit({ appends: [append(stream, 1)] });
  const events = await store.readStream(stream, { limit: 10 });
  assert.deepEqual(
    events.map((event) => event.streamPosition),
    [1, 2],
  );
});

test('a transaction that begins late in a month that was closed meanwhile is moved to the next', async (t) => {
  const { store, storeWith, pool, clock } = await openPostgres(t);
  clock.set('2026-10-31T23:59:00Z');
  const stream = newStream('counter', createIdSource(clock).uuid());
  const late = await openWriter(t, store, 'late');
  await late.commit({ appends: [append(stream, 0)] });
  const next = await openWriter(t, storeWith(createManualClock(Date.parse('2026-11-01T00:01:00Z'))), 'next');
  await next.commit({ appends: [append(stream, 1)] });
  await late.commit({ appends: [append(stream, 2)] });
  const rows = await pool.query('SELECT tableoid::regclass::text AS partition FROM events ORDER BY stream_position');
  assert.deepEqual(
    rows.map((row) => (row as { partition: string }).partition),
    ['events_2026_10', 'events_2026_11', 'events_2026_11'],
  );
});
