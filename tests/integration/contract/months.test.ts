import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConflictError } from '#kernel/core/errors.ts';
import { createIdSource } from '#kernel/core/ids.ts';
import { monthOf, type Store, type StreamRef } from '#kernel/event-store/store.ts';
import { append, newStream, openWriter } from '../../support/appending.ts';
import { describeBackends } from '../../support/backends.ts';
import { createManualClock } from '../../support/manual-clock.ts';

const OCTOBER = Date.parse('2026-10-15T12:00:00Z');
const NOVEMBER = Date.parse('2026-11-15T12:00:00Z');
const DECEMBER = Date.parse('2026-12-15T12:00:00Z');

/** A stream whose id was made at a moment. */
function streamOf(moment: number): StreamRef {
  return newStream('counter', createIdSource(createManualClock(moment)).uuid());
}

async function positions(store: Store, stream: StreamRef): Promise<readonly number[]> {
  return (await store.readStream(stream, { limit: 100 })).map((event) => event.streamPosition);
}

describeBackends('months', (open) => {
  test('a stream goes on over months', async (t) => {
    const { store, clock } = await open(t);
    clock.set(OCTOBER);
    const writer = await openWriter(t, store);
    const stream = streamOf(OCTOBER);
    const first = await writer.commit({ appends: [append(stream, 0)] });
    assert.equal(first.month, monthOf(OCTOBER));
    clock.set(NOVEMBER);
    const second = await writer.commit({ appends: [{ ...append(stream, 1), lastMonth: first.month }] });
    assert.equal(second.month, monthOf(NOVEMBER));
    await writer.commit({ appends: [{ ...append(stream, 2), lastMonth: second.month }] });
    assert.deepEqual(await positions(store, stream), [1, 2, 3]);
    const [loaded] = await store.loadStreams([{ ...stream, stateVersion: 1 }]);
    assert.equal(loaded!.lastMonth, monthOf(NOVEMBER));
  });

  test('a wrong expected position is a conflict across months', async (t) => {
    const { store, clock } = await open(t);
    clock.set(OCTOBER);
    const writer = await openWriter(t, store);
    const stream = streamOf(OCTOBER);
    const { month } = await writer.commit({ appends: [append(stream, 0), append(streamOf(OCTOBER), 0)] });
    clock.set(NOVEMBER);
    await assert.rejects(writer.commit({ appends: [append(stream, 0)] }), ConflictError);
    await assert.rejects(writer.commit({ appends: [{ ...append(stream, 2), lastMonth: month }] }), ConflictError);
    await assert.rejects(writer.commit({ appends: [append(streamOf(OCTOBER), 1)] }), ConflictError);
    assert.deepEqual(await positions(store, stream), [1]);
  });

  test('a stream whose id was made in an earlier month can begin now', async (t) => {
    const { store, clock } = await open(t);
    clock.set(DECEMBER);
    const writer = await openWriter(t, store);
    const stream = streamOf(OCTOBER);
    await writer.commit({ appends: [append(stream, 0)] });
    assert.deepEqual(await positions(store, stream), [1]);
    await assert.rejects(writer.commit({ appends: [append(stream, 0)] }), ConflictError);
  });

  test('a writer whose clock is behind goes on in the month that others have entered', async (t) => {
    const { store, storeWith, clock } = await open(t);
    clock.set(OCTOBER);
    const behind = await openWriter(t, store, 'behind');
    const stream = streamOf(OCTOBER);
    const first = await behind.commit({ appends: [append(stream, 0)] });
    const ahead = await openWriter(t, storeWith(createManualClock(NOVEMBER)), 'ahead');
    await ahead.commit({ appends: [{ ...append(stream, 1), lastMonth: first.month }] });
    await assert.rejects(behind.commit({ appends: [{ ...append(stream, 1), lastMonth: first.month }] }), ConflictError);
    const third = await behind.commit({ appends: [{ ...append(stream, 2), lastMonth: monthOf(NOVEMBER) }] });
    assert.equal(third.month, monthOf(NOVEMBER));
    assert.deepEqual(await positions(store, stream), [1, 2, 3]);
  });

  test('a month that nobody wrote in cannot be opened behind those who are past it', async (t) => {
    const { store, storeWith, clock } = await open(t);
    clock.set(OCTOBER);
    const stream = streamOf(OCTOBER);
    const early = await openWriter(t, store, 'early');
    await early.commit({ appends: [append(stream, 0)] });
    const ahead = await openWriter(t, storeWith(createManualClock(DECEMBER)), 'ahead');
    await ahead.commit({ appends: [append(streamOf(DECEMBER), 0)] });
    const late = await openWriter(t, storeWith(createManualClock(NOVEMBER)), 'late');
    const second = await late.commit({ appends: [append(stream, 1)] });
    assert.equal(second.month, monthOf(DECEMBER));
    await ahead.commit({ appends: [append(stream, 2)] });
    await assert.rejects(late.commit({ appends: [{ ...append(stream, 2), lastMonth: second.month }] }), ConflictError);
    assert.deepEqual(await positions(store, stream), [1, 2, 3]);
  });

  test('a new stream is begun once, though its id was made in the month that is entered next', async (t) => {
    const { store, storeWith, clock } = await open(t);
    clock.set('2026-10-31T23:59:58Z');
    const stream = streamOf(Date.parse('2026-11-01T00:00:01Z'));
    const behind = await openWriter(t, store, 'behind');
    await behind.commit({ appends: [append(stream, 0)] });
    const ahead = await openWriter(t, storeWith(createManualClock(Date.parse('2026-11-01T00:00:02Z'))), 'ahead');
    await assert.rejects(ahead.commit({ appends: [append(stream, 0)] }), ConflictError);
    assert.deepEqual(await positions(store, stream), [1]);
  });
});
