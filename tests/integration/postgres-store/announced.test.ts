import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createIdSource } from '#kernel/core/ids.ts';
import { verifyStore } from '#kernel/event-store/postgres/verify.ts';
import { monthOf } from '#kernel/event-store/store.ts';
import { append, newStream, openWriter } from '../../support/appending.ts';
import { openPostgres, type PostgresBackend } from '../../support/backends.ts';

const LAST_MOMENT = Date.UTC(2026, 9, 31, 23, 59, 59, 900);
const STEP_MS = 200;

/** Appends two batches; the second is announced while the first waits for its chain, as `between` moves the clock. */
async function announceBetween(
  backend: PostgresBackend,
  t: Parameters<typeof openWriter>[0],
  steps: { readonly beforeAnnouncing: number; readonly beforeCommit: number },
) {
  const ids = createIdSource(backend.clock);
  const writer = await openWriter(t, backend.store);
  await writer.commit({ appends: [append(newStream('counter', ids.uuid()), 0)] });
  const stream = newStream('counter', ids.uuid());
  let announced: Parameters<typeof writer.commit>[0] | undefined;
  let first: ReturnType<typeof writer.commit> | undefined;
  await backend.pool.transaction(async (sql) => {
    await sql.query('SELECT * FROM event_chains FOR UPDATE');
    first = writer.commit({ appends: [append(stream, 0)] });
    await new Promise((resolve) => setTimeout(resolve, STEP_MS));
    backend.clock.advance(steps.beforeAnnouncing);
    announced = { appends: [append(newStream('counter', ids.uuid()), 0), append(stream, 1)] };
    writer.announce!(announced);
    backend.clock.advance(steps.beforeCommit);
  });
  await first;
  return writer.commit(announced!);
}

for (const [what, steps] of [
  ['stays in its month', { beforeAnnouncing: 0, beforeCommit: 0 }],
  ['a month begins after it was announced', { beforeAnnouncing: 0, beforeCommit: STEP_MS }],
  ['the clock is set back into the month before', { beforeAnnouncing: STEP_MS, beforeCommit: -STEP_MS }],
] as const) {
  test(`an announced batch is stored in the month that it says: ${what}`, async (t) => {
    const backend = await openPostgres(t);
    backend.clock.set(LAST_MOMENT);
    const committed = await announceBetween(backend, t, steps);
    const stored = await backend.stored();
    assert.deepEqual(
      committed.events.map(({ id }) => monthOf(stored.find(({ event }) => event.id === id)!.storedAt)),
      [committed.month, committed.month],
    );
    assert.deepEqual(await verifyStore(backend.pool), []);
  });
}
