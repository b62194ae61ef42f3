import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConflictError, DataError } from '#kernel/core/errors.ts';
import { append, newStream, openWriter, pending, wholeLog } from '../../support/appending.ts';
import { describeBackends } from '../../support/backends.ts';

describeBackends('streams', (open) => {
  test('a new stream starts at position 1, and goes on where it ended', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const stream = newStream();
    const first = await writer.commit({ appends: [append(stream, 0, pending({ n: 1 }), pending({ n: 2 }))] });
    await writer.commit({ appends: [append(stream, 2, pending({ n: 3 }))] });
    assert.deepEqual(
      first.events.map((event) => event.streamPosition),
      [1, 2],
    );
    const events = await store.readStream(stream, { limit: 10 });
    assert.deepEqual(
      events.map((event) => [event.streamPosition, event.data]),
      [
        [1, { n: 1 }],
        [2, { n: 2 }],
        [3, { n: 3 }],
      ],
    );
  });

  test('a wrong expected position is a conflict, and nothing of the commit stays', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const [known, other] = [newStream(), newStream()];
    await writer.commit({ appends: [append(known, 0)] });
    for (const wrong of [0, 2, 5]) {
      await assert.rejects(writer.commit({ appends: [append(other, 0), append(known, wrong)] }), ConflictError);
    }
    assert.deepEqual(await store.readStream(other, { limit: 10 }), []);
    assert.equal((await wholeLog(store)).length, 1);
    await writer.commit({ appends: [append(other, 0), append(known, 1)] });
    assert.equal((await wholeLog(store)).length, 3);
  });

  test('a stream that was only looked at must still stand where it was seen', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const [known, other, absent] = [newStream(), newStream(), newStream()];
    await writer.commit({ appends: [append(known, 0, pending(), pending())] });
    const seen = (expectedPosition: number) => [
      { stream: absent, expectedPosition: 0 },
      { stream: known, expectedPosition },
    ];
    for (const wrong of [0, 1, 3]) {
      await assert.rejects(writer.commit({ appends: [append(other, 0)], seen: seen(wrong) }), ConflictError);
      await assert.rejects(writer.commit({ appends: [], seen: seen(wrong) }), ConflictError);
    }
    assert.equal((await wholeLog(store)).length, 2);
    await writer.commit({ appends: [append(other, 0)], seen: seen(2) });
    await writer.commit({ appends: [], seen: seen(2) });
    assert.equal((await wholeLog(store)).length, 3);
  });

  test('streams of two types may share an id', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const counter = newStream('counter');
    const clock = newStream('clock', counter.id);
    await writer.commit({ appends: [append(counter, 0), append(clock, 0)] });
    assert.equal((await store.readStream(clock, { limit: 10 })).length, 1);
  });

  test('of two writers that expect the same position exactly one wins', async (t) => {
    const { store } = await open(t);
    const writers = [await openWriter(t, store, 'a'), await openWriter(t, store, 'b'), await openWriter(t, store, 'c')];
    const stream = newStream();
    for (let position = 0; position < 20; position++) {
      const outcomes = await Promise.allSettled(
        writers.map((writer) => writer.commit({ appends: [append(stream, position)] })),
      );
      assert.equal(outcomes.filter((outcome) => outcome.status === 'fulfilled').length, 1);
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') assert.ok(outcome.reason instanceof ConflictError, String(outcome.reason));
      }
    }
    const positions = (await store.readStream(stream, { limit: 100 })).map((event) => event.streamPosition);
    assert.deepEqual(
      positions,
      Array.from({ length: 20 }, (_, i) => i + 1),
    );
  });

  test('a stream is read in pages, in both directions', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const stream = newStream();
    await writer.commit({ appends: [append(stream, 0, ...Array.from({ length: 7 }, (_, n) => pending({ n })))] });
    const positions = async (options: { from?: number; limit: number; backwards?: boolean }) =>
      (await store.readStream(stream, options)).map((event) => event.streamPosition);
    assert.deepEqual(await positions({ limit: 3 }), [1, 2, 3]);
    assert.deepEqual(await positions({ from: 4, limit: 3 }), [4, 5, 6]);
    assert.deepEqual(await positions({ from: 7, limit: 3 }), [7]);
    assert.deepEqual(await positions({ limit: 3, backwards: true }), [7, 6, 5]);
    assert.deepEqual(await positions({ from: 2, limit: 3, backwards: true }), [2, 1]);
  });

  test('streams are loaded in the order asked, those that do not exist too', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const [one, two, missing] = [newStream(), newStream(), newStream()];
    await writer.commit({ appends: [append(one, 0), append(two, 0, pending(), pending())] });
    const loaded = await store.loadStreams([two, missing, one].map((stream) => ({ ...stream, stateVersion: 1 })));
    assert.deepEqual(
      loaded.map(({ stream, events }) => [stream.id, events.length]),
      [
        [two.id, 2],
        [missing.id, 0],
        [one.id, 1],
      ],
    );
    assert.deepEqual(await store.loadStreams([]), []);
  });

  test('of a stream that is known up to a position, what came after is loaded, without the snapshot', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const stream = newStream();
    const { month } = await writer.commit({
      appends: [append(stream, 0, pending({ n: 1 }), pending({ n: 2 }), pending({ n: 3 }))],
      snapshots: [{ stream, position: 3, stateVersion: 1, state: {} }],
    });
    for (const known of [month, undefined]) {
      const loads = [0, 2, 3].map((position) => ({ ...stream, stateVersion: 1, after: { position, month: known } }));
      const loaded = await store.loadStreams([...loads, { ...stream, stateVersion: 1 }]);
      assert.deepEqual(
        loaded.map(({ snapshot, events, lastMonth }) => [
          snapshot?.position,
          events.map(({ data }) => data),
          lastMonth,
        ]),
        [
          [undefined, [{ n: 1 }, { n: 2 }, { n: 3 }], month],
          [undefined, [{ n: 3 }], month],
          [undefined, [], undefined],
          [3, [], month],
        ],
      );
    }
  });

  test('events come back exactly as they were appended', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const stream = newStream();
    const data = {
      amount: 100.5,
      tiny: 1e-7,
      huge: 1e21,
      safe: Number.MAX_SAFE_INTEGER,
      negative: -0.1,
      text: 'Žluťoučký kůň 🐎 "quoted" \\ \n\t \u2028',
      'key with "quotes"': true,
      '10': 'ten',
      '9': 'nine',
      nested: { list: [1, [2, { b: null, a: [] }]], empty: {} },
    };
    const event = { ...pending(data), time: Date.UTC(2026, 9, 31, 23, 59, 59, 999), version: 3 };
    await writer.commit({ appends: [append(stream, 0, event)] });
    const [found] = await store.readStream(stream, { limit: 1 });
    assert.deepEqual(found!.data, data);
    assert.deepEqual(found!.metadata, event.metadata);
    assert.deepEqual(
      [found!.id, found!.type, found!.version, found!.time, found!.aggregateType, found!.aggregateId],
      [event.id, event.type, 3, event.time, stream.type, stream.id],
    );
  });

  test('what was stored does not change with the object that was given', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const stream = newStream();
    const data = { list: [1] };
    await writer.commit({ appends: [append(stream, 0, pending(data))] });
    data.list.push(2);
    const [found] = await store.readStream(stream, { limit: 1 });
    assert.deepEqual(found!.data, { list: [1] });
  });

  test('values that cannot be stored are refused, and the writer goes on', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const refused = [
      append(newStream(), 0, pending({ text: 'a\u0000b' })),
      append(newStream(), 0, pending({ text: '\ud800' })),
      append(newStream('counter', 'no-uuid'), 0),
    ];
    for (const one of refused) {
      await assert.rejects(writer.commit({ appends: [append(newStream(), 0), one] }), DataError);
    }
    assert.deepEqual(await wholeLog(store), []);
    await writer.commit({ appends: [append(newStream(), 0, pending({ text: 'the text \\u0000 is harmless' }))] });
    assert.equal((await wholeLog(store)).length, 1);
  });
});
