import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { distance, type LogPosition } from '#kernel/core/log-position.ts';
import type { Store, Writer } from '#kernel/event-store/store.ts';
import { append, newStream, openWriter, pending } from '../../support/appending.ts';
import { describeBackends } from '../../support/backends.ts';

/** Reads on from a position until the end, page by page. */
async function readAll(store: Store, options: { types?: readonly string[]; limit: number }, after: LogPosition = {}) {
  const events: RecordedEvent[] = [];
  let position = after;
  for (;;) {
    const page = await store.readLog(position, options);
    events.push(...page.events);
    position = page.next;
    for (const events of Map.groupBy(page.events, (event) => event.chain).values())
      assert.ok(events.length <= options.limit);
    assert.ok(page.atEnd || page.events.length >= options.limit);
    if (page.atEnd) return { events, position };
  }
}

/** Commits of one to three events of two types in turn, by turns to each writer. */
async function fill(writers: readonly Writer[], commits: number): Promise<void> {
  for (let n = 0; n < commits; n++) {
    const events = Array.from({ length: (n % 3) + 1 }, (_, i) =>
      pending({ n }, i === 1 ? 'clock.ticked' : 'counter.added'),
    );
    await writers[n % writers.length]!.commit({ appends: [append(newStream(), 0, ...events)] });
  }
}

describeBackends('the log', (open) => {
  test('an empty log has no events, and its end is its start', async (t) => {
    const { store } = await open(t);
    assert.deepEqual(await store.readLog({}, { limit: 10 }), { events: [], next: {}, atEnd: true });
    assert.deepEqual(await store.head(), {});
  });

  test('pages of any size cover everything exactly once, in the order in which it was appended', async (t) => {
    const { store } = await open(t);
    const writers = [await openWriter(t, store, 'a'), await openWriter(t, store, 'b'), await openWriter(t, store, 'c')];
    await fill(writers, 20);
    const whole = (await store.readLog({}, { limit: 1000 })).events;
    assert.equal(whole.length, 39);
    assert.deepEqual(
      whole.map((event) => (event.data as { n: number }).n),
      whole.map((event) => (event.data as { n: number }).n).sort((a, b) => a - b),
    );
    for (const limit of [1, 2, 3, 7, 39, 40]) {
      const { events, position } = await readAll(store, { limit });
      assert.deepEqual(events, whole);
      assert.deepEqual(position, await store.head());
    }
  });

  test('what was read beyond a page need not be read again', async (t) => {
    const { store } = await open(t);
    const [often, seldom] = [await openWriter(t, store, 'often'), await openWriter(t, store, 'seldom')];
    for (let round = 0; round < 5; round++) {
      await fill([often], 9);
      await fill([seldom], 3);
    }
    for (const options of [{ limit: 4 }, { limit: 7 }, { limit: 3, types: ['counter.added'] }]) {
      let page = await store.readLog({}, options);
      let kept = 0;
      while (!page.atEnd) {
        const { beyond = [], next } = page;
        kept += beyond.length;
        page = await store.readLog(next, { ...options, beyond });
        assert.deepEqual(page, await store.readLog(next, options));
      }
      assert.ok(kept > 0);
    }
  });

  test('pages of some types cover those exactly once, and end where the log ends', async (t) => {
    const { store } = await open(t);
    const writers = [await openWriter(t, store, 'a'), await openWriter(t, store, 'b')];
    await fill(writers, 20);
    const whole = (await store.readLog({}, { limit: 1000 })).events;
    for (const types of [['clock.ticked'], ['counter.added', 'clock.ticked'], ['nothing.such'], []]) {
      for (const limit of [1, 4, 100]) {
        const { events, position } = await readAll(store, { types, limit });
        assert.deepEqual(
          events,
          whole.filter((event) => types.includes(event.type)),
        );
        assert.deepEqual(position, await store.head());
      }
    }
  });

  test('a page goes as far as all chains were read, and passes over what is of no type that was asked for', async (t) => {
    const { store } = await open(t);
    const writers = [await openWriter(t, store, 'a'), await openWriter(t, store, 'b'), await openWriter(t, store, 'c')];
    const ticks = Array.from({ length: 5 }, (_, n) => pending({ n }, 'clock.ticked'));
    await writers[0]!.commit({ appends: [append(newStream(), 0, ...ticks.slice(0, 2))] });
    await fill([writers[1]!], 5);
    await writers[0]!.commit({ appends: [append(newStream(), 0, ...ticks.slice(2))] });
    await writers[2]!.commit({ appends: [append(newStream(), 0, pending())] });

    const page = await store.readLog({}, { types: ['clock.ticked'], limit: 4 });
    assert.deepEqual(
      page.events.map((event) => event.chain),
      [
        ...Array(2).fill(page.events[0]!.chain),
        ...Array(3).fill(page.events[2]!.chain),
        ...Array(2).fill(page.events[0]!.chain),
      ],
    );
    assert.equal(page.atEnd, false);
    assert.deepEqual(page.next, { ...(await store.head()), [page.events[0]!.chain]: 4 });
    const rest = await store.readLog(page.next, { types: ['clock.ticked'], limit: 4 });
    assert.deepEqual([rest.events.length, rest.atEnd, rest.next], [1, true, await store.head()]);
  });

  test('a reader that is at the end sees only what comes then', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store, 'a');
    await fill([writer], 5);
    const { position } = await readAll(store, { limit: 3 });
    assert.equal(distance(position, await store.head()), 0);
    const later = await openWriter(t, store, 'b');
    await fill([later, writer], 6);
    assert.equal(distance(position, await store.head()), 12);
    const { events } = await readAll(store, { limit: 5 }, position);
    assert.equal(events.length, 12);
  });

  test('readers that read while writers write see every event once, each stream in order', async (t) => {
    const { store } = await open(t);
    const writers = [await openWriter(t, store, 'a'), await openWriter(t, store, 'b'), await openWriter(t, store, 'c')];
    let writing = true;
    const seen: RecordedEvent[] = [];
    const read = async (): Promise<void> => {
      let position: LogPosition = {};
      for (let page = await store.readLog(position, { limit: 5 }); writing || !page.atEnd; ) {
        seen.push(...page.events);
        position = page.next;
        page = await store.readLog(position, { limit: 5 });
      }
      seen.push(...(await readAll(store, { limit: 5 }, position)).events);
    };
    const reading = read();
    await Promise.all(writers.map((writer) => fill([writer], 30)));
    writing = false;
    await reading;
    assert.equal(seen.length, 180);
    assert.equal(new Set(seen.map((event) => event.id)).size, 180);
    const last = new Map<string, number>();
    for (const event of seen) {
      assert.equal(event.streamPosition, (last.get(event.aggregateId) ?? 0) + 1);
      last.set(event.aggregateId, event.streamPosition);
    }
  });
});
