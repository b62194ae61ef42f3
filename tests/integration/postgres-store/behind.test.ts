import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BatchBeforeFailedError, UnavailableError } from '#kernel/core/errors.ts';
import { createIdSource } from '#kernel/core/ids.ts';
import { makePartitionsAhead } from '#kernel/event-store/postgres/months.ts';
import { verifyStore } from '#kernel/event-store/postgres/verify.ts';
import { type Committed, monthOf, type StreamAppend, type Writer } from '#kernel/event-store/store.ts';
import { append, newStream, openWriter, wholeLog } from '../../support/appending.ts';
import { openPostgres, type PostgresBackend } from '../../support/backends.ts';
import { createManualClock } from '../../support/manual-clock.ts';
import { startTcpProxy } from '../../support/tcp-proxy.ts';
import { until } from '../../support/until.ts';

const LAST_MOMENT = Date.UTC(2026, 9, 31, 23, 59, 59, 900);
const STEP_MS = 200;
const MONTH_MS = 31 * 86_400_000;

async function countEvents({ pool }: PostgresBackend): Promise<number> {
  const rows = await pool.query<{ count: number }>('SELECT count(*) AS count FROM events');
  return rows[0]!.count;
}

/** Hands in one commit after another, each to go on from the one before it and as soon as that is sent. */
async function handIn(writer: Writer, appends: readonly StreamAppend[]): Promise<readonly Promise<Committed>[]> {
  const committing: Promise<Committed>[] = [];
  for (const one of appends) {
    const last = committing.at(-1);
    committing.push(writer.commit({ appends: [one], ...(last && { after: last }) }));
    committing.at(-1)!.catch(() => undefined);
    await sleep(STEP_MS);
  }
  return committing;
}

/** A writer behind a proxy, and a stream to go on with. The server knows the statements of an append by then. */
async function startFarWriter(t: TestContext) {
  const backend = await openPostgres(t);
  const proxy = await startTcpProxy(t, backend.url);
  const writer = await openWriter(t, backend.storeAt(proxy.url, 'far'));
  const stream = newStream();
  for (const position of [0, 1]) await writer.commit({ appends: [append(stream, position)] });
  return { backend, proxy, writer, stream };
}

test('commits of which no answer came are all in the log: each is sent right behind the one before it', async (t) => {
  const { backend, proxy, writer, stream } = await startFarWriter(t);
  proxy.swallow('answers');
  const committing = Promise.all(
    await handIn(
      writer,
      [2, 3, 4].map((position) => append(stream, position)),
    ),
  );
  await until('all are in the log', async () => (await countEvents(backend)) === 5);
  proxy.mend();
  proxy.cut();
  const committed = await committing;
  assert.deepEqual(
    committed.map(({ events }) => events[0]!.streamPosition),
    [3, 4, 5],
  );
  await writer.commit({ appends: [append(stream, 5)] });
  assert.equal((await wholeLog(backend.store)).length, 6);
  assert.deepEqual(await verifyStore(backend.pool), []);
});

test('commits that never reached the server fail, and leave nothing', async (t) => {
  const { backend, proxy, writer, stream } = await startFarWriter(t);
  proxy.swallow('requests');
  const outcomes = Promise.allSettled(await handIn(writer, [append(stream, 2), append(stream, 3)]));
  proxy.mend();
  proxy.cut();
  const errors = (await outcomes).map((outcome) => (outcome as PromiseRejectedResult).reason);
  assert.ok(errors[0] instanceof UnavailableError);
  assert.ok(errors[1] instanceof BatchBeforeFailedError);
  await writer.recover();
  await writer.commit({ appends: [append(stream, 2)] });
  assert.equal((await wholeLog(backend.store)).length, 3);
});

test('a commit behind one that was refused takes no effect, although the chain has the length that it expects', async (t) => {
  const { backend, writer, stream } = await startFarWriter(t);
  const other = newStream();
  let committing: readonly Promise<unknown>[] = [];
  await backend.pool.transaction(async (sql) => {
    await sql.query('UPDATE event_chains SET position = position + 1');
    committing = await handIn(writer, [append(stream, 7), append(other, 0)]);
  });
  const outcomes = await Promise.allSettled(committing);
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  assert.deepEqual(await backend.store.readStream(other, { limit: 1 }), []);
});

/** Hands in two commits while the chain is held by another transaction, and moves the clock by steps in between. */
async function handInTwo(
  t: TestContext,
  backend: PostgresBackend,
  steps: { readonly beforeSecond: number; readonly afterSecond: number },
  meanwhile: () => Promise<void> = async () => undefined,
) {
  const ids = createIdSource(backend.clock);
  const writer = await openWriter(t, backend.store);
  await writer.commit({ appends: [append(newStream('counter', ids.uuid()), 0)] });
  const stream = newStream('counter', ids.uuid());
  const { committing } = await backend.pool.transaction(async (sql) => {
    await sql.query('SELECT * FROM event_chains FOR UPDATE');
    const first = writer.commit({ appends: [append(stream, 0)] });
    await sleep(STEP_MS);
    backend.clock.advance(steps.beforeSecond);
    const appends = [append(newStream('counter', ids.uuid()), 0), append(stream, 1)];
    const second = writer.commit({ appends, after: first });
    backend.clock.advance(steps.afterSecond);
    await meanwhile();
    return { committing: Promise.all([first, second]) };
  });
  return committing;
}

async function monthsStored(backend: PostgresBackend, eventIds: readonly string[]): Promise<readonly number[]> {
  const stored = await backend.stored();
  return eventIds.map((id) => monthOf(stored.find(({ event }) => event.id === id)!.storedAt));
}

for (const [what, steps] of [
  ['both in one month', { beforeSecond: 0, afterSecond: 0 }],
  ['a month begins between them', { beforeSecond: STEP_MS, afterSecond: 0 }],
  ['a month begins after them', { beforeSecond: 0, afterSecond: STEP_MS }],
  ['the clock is set back into the month before', { beforeSecond: STEP_MS, afterSecond: -STEP_MS }],
] as const) {
  test(`a commit behind another is stored in the month that it says: ${what}`, async (t) => {
    const backend = await openPostgres(t);
    backend.clock.set(LAST_MOMENT);
    const [, { events, month }] = await handInTwo(t, backend, steps);
    const ids = events.map(({ id }) => id);
    assert.deepEqual(await monthsStored(backend, ids), [month, month]);
    assert.deepEqual(await verifyStore(backend.pool), []);
  });
}

test('commits under way when their month is closed go into the next', async (t) => {
  const backend = await openPostgres(t);
  backend.clock.set(LAST_MOMENT);
  let closing: Promise<unknown> | undefined;
  const later = createManualClock(LAST_MOMENT + MONTH_MS);
  const steps = { beforeSecond: 0, afterSecond: 0 };
  const commits = await handInTwo(t, backend, steps, async () => {
    const closer = await openWriter(t, backend.storeWith(later), 'closer');
    closing = closer.commit({ appends: [append(newStream(), 0)] });
    await sleep(STEP_MS);
  });
  await closing;
  const ids = commits.flatMap(({ events }) => events.map(({ id }) => id));
  const months = commits.flatMap(({ events, month }) => events.map(() => month));
  assert.deepEqual(await monthsStored(backend, ids), months);
  assert.deepEqual(await verifyStore(backend.pool), []);
});

test('a commit is stored in the month that it says: the month begins while it is sealed', async (t) => {
  const backend = await openPostgres(t);
  const turn = Date.UTC(2026, 10, 1);
  await makePartitionsAhead(backend.pool, turn - 1, 1);
  const readings: number[] = [];
  const writer = await openWriter(t, backend.storeWith({ now: () => readings.shift() ?? turn - 1 }), 'turning');
  const stream = newStream('counter', createIdSource(createManualClock(LAST_MOMENT)).uuid());
  await writer.commit({ appends: [append(stream, 0)] });
  readings.push(turn - 1, turn);
  const { events, month } = await writer.commit({ appends: [append(stream, 1)] });
  assert.deepEqual(await monthsStored(backend, [events[0]!.id]), [month]);
});

test('a commit behind one that is sent again in a new session is sent again too', async (t) => {
  const { backend, writer, stream } = await startFarWriter(t);
  let committing: readonly Promise<Committed>[] = [];
  await backend.pool.transaction(async (sql) => {
    await sql.query('UPDATE event_chains SET position = position + 1');
    committing = await handIn(writer, [append(stream, 2), append(stream, 3), append(stream, 4)]);
  });
  const committed = await Promise.all(committing);
  assert.deepEqual(
    committed.map(({ events }) => events[0]!.streamPosition),
    [3, 4, 5],
  );
});
