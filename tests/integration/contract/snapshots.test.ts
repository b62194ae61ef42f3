import assert from 'node:assert/strict';
import { test } from 'node:test';
import { append, newStream, openWriter, pending } from '../../support/appending.ts';
import { describeBackends } from '../../support/backends.ts';

const TEN = Array.from({ length: 10 }, (_, n) => pending({ n }));

describeBackends('snapshots', (open) => {
  test('a load gives the snapshot and the events after it', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const stream = newStream();
    const state = { sum: 45, names: ['č', 'ř'] };
    await writer.commit({
      appends: [append(stream, 0, ...TEN)],
      snapshots: [{ stream, position: 10, stateVersion: 2, state }],
    });
    await writer.commit({ appends: [append(stream, 10, pending({ n: 10 }))] });
    const [loaded] = await store.loadStreams([{ ...stream, stateVersion: 2 }]);
    assert.deepEqual(loaded!.snapshot?.state, state);
    assert.equal(loaded!.snapshot?.position, 10);
    assert.deepEqual(
      loaded!.events.map((event) => event.data),
      [{ n: 10 }],
    );
  });

  test('right after a snapshot there are no events, and the month of the last one is known', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const stream = newStream();
    const { month } = await writer.commit({
      appends: [append(stream, 0, ...TEN)],
      snapshots: [{ stream, position: 10, stateVersion: 1, state: {} }],
    });
    const [loaded] = await store.loadStreams([{ ...stream, stateVersion: 1 }]);
    assert.deepEqual(loaded!.events, []);
    assert.equal(loaded!.lastMonth, month);
  });

  test('the newest snapshot takes the place of the one before', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const stream = newStream();
    for (const position of [0, 10]) {
      await writer.commit({
        appends: [append(stream, position, ...TEN.map(({ data }) => pending(data)))],
        snapshots: [{ stream, position: position + 10, stateVersion: 1, state: { at: position + 10 } }],
      });
    }
    const [loaded] = await store.loadStreams([{ ...stream, stateVersion: 1 }]);
    assert.deepEqual(loaded!.snapshot?.state, { at: 20 });
  });

  test('one of another state version is not used', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const stream = newStream();
    await writer.commit({
      appends: [append(stream, 0, ...TEN)],
      snapshots: [{ stream, position: 10, stateVersion: 1, state: {} }],
    });
    const [loaded] = await store.loadStreams([{ ...stream, stateVersion: 2 }]);
    assert.equal(loaded!.snapshot, undefined);
    assert.equal(loaded!.events.length, 10);
  });

  test('one of a position that the log does not have is not used', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const [damaged, sound] = [newStream(), newStream()];
    await writer.commit({
      appends: [append(damaged, 0, ...TEN), append(sound, 0, ...TEN.map(({ data }) => pending(data)))],
      snapshots: [
        { stream: damaged, position: 11, stateVersion: 1, state: { invented: true } },
        { stream: sound, position: 9, stateVersion: 1, state: {} },
      ],
    });
    const [first, second] = await store.loadStreams([damaged, sound].map((stream) => ({ ...stream, stateVersion: 1 })));
    assert.equal(first!.snapshot, undefined);
    assert.equal(first!.events.length, 10);
    assert.equal(second!.snapshot?.position, 9);
    assert.equal(second!.events.length, 1);
  });
});
