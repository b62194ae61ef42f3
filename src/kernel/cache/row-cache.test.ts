import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createTail } from '../bus/tail.ts';
import type { RecordedEvent } from '../core/event.ts';
import type { RowProjection } from '../core/projection.ts';
import type { Committed } from '../event-store/store.ts';
import { type CacheResult, createRowCache } from './row-cache.ts';

type Row = { readonly id: string; readonly version: number };

const projection: RowProjection<Row> = {
  kind: 'rows',
  name: 'things',
  table: { name: 'test.things', columns: { id: 'text', version: 'bigint' }, key: ['id'] },
  events: ['changed'],
  key: (event) => [event.aggregateId],
  startsRow: (event) => event.streamPosition === 1,
  evolve: (_row, event) => ({ id: event.aggregateId, version: event.streamPosition }),
};

const SETTINGS = {
  name: 'things',
  aggregateType: 'thing',
  projection,
  maxRows: 100,
  ttlMs: 1000,
  maxTtlMs: 4000,
  missingTtlMs: 50,
};

/** A database with rows that change, whose queries end when they are told to, and a cache on it. */
function setUp(settings: Partial<typeof SETTINGS> = {}) {
  const rows = new Map<string, Row>();
  const queries: { readonly id: string; end(cause?: Error): void }[] = [];
  const results: CacheResult[] = [];
  const tail = createTail();
  const time = { now: 1000, monotonic: 0 };
  tail.aloneUntil = 10;
  const lookup = ([id]: readonly string[]): Promise<ReadonlyMap<string, Row>> => {
    const found = rows.get(id!);
    return new Promise((resolve, reject) => {
      const answer = new Map(found === undefined ? [] : [[id!, found]]);
      queries.push({ id: id!, end: (cause) => (cause === undefined ? resolve(answer) : reject(cause)) });
    });
  };
  const cache = createRowCache<Row>(
    { ...SETTINGS, ...settings },
    {
      ...{ tail, lookup, clock: { now: () => time.now }, monotonic: () => time.monotonic },
      observe: (_cache, result) => results.push(result),
    },
  );
  const positions = new Map<string, number>();
  const tell = (id: string, aggregateType: string, type: string): void => {
    const event = { aggregateType, aggregateId: id, type, streamPosition: positions.get(id) };
    tail.publish({ events: [event as RecordedEvent] } as unknown as Committed);
  };
  /** As a commit stores it, which nobody was told of yet. */
  const store = (id: string): void => {
    positions.set(id, (positions.get(id) ?? 0) + 1);
    rows.set(id, { id, version: positions.get(id)! });
  };
  /** As a commit does it: the row, then the events, then the answer. */
  const write = (id: string): void => {
    store(id);
    tell(id, 'thing', 'changed');
  };
  /** An event of the stream that does not concern the row. */
  const pass = (id: string): void => {
    positions.set(id, (positions.get(id) ?? 0) + 1);
    tell(id, 'thing', 'looked at');
  };
  const endAll = (): void => {
    for (const { end } of queries.splice(0)) end();
  };
  /** Looks a row up, and lets the database answer. */
  const get = async (id: string): Promise<number | undefined> => {
    const row = cache.get(id);
    endAll();
    return (await row)?.version;
  };
  return { cache, rows, queries, results, tail, time, store, tell, write, pass, endAll, get };
}

test('a row is looked up once, and changes with its events', async () => {
  const { get, write, pass, results } = setUp();
  write('a');
  assert.deepEqual([await get('a'), await get('a')], [1, 1]);
  write('a');
  assert.equal(await get('a'), 2);
  pass('a');
  write('a');
  assert.equal(await get('a'), 4);
  assert.deepEqual(results, ['miss', 'hit', 'hit', 'hit']);
});

test('a row that was looked up after a commit, before that was told, is right; one of which an event was missed is looked up anew', async () => {
  const { get, store, tell, write, pass, results } = setUp();
  write('a');
  store('a');
  assert.equal(await get('a'), 2);
  tell('a', 'thing', 'changed');
  assert.equal(await get('a'), 2);
  pass('b');
  write('b');
  pass('b');
  assert.equal(await get('b'), 2);
  write('b');
  assert.equal(await get('b'), 4, 'the row does not say how far its stream has come');
  assert.deepEqual(results, ['miss', 'hit', 'miss', 'miss']);
});

test('events of other streams change nothing', async () => {
  const { get, write, tell, results } = setUp();
  write('a');
  await get('a');
  tell('a', 'another', 'changed');
  write('b');
  await get('a');
  assert.deepEqual(results, ['miss', 'hit']);
});

test('many who ask for the same row wait for one look-up', async () => {
  const { cache, write, queries, endAll } = setUp();
  write('a');
  const asked = Array.from({ length: 50 }, () => cache.get('a'));
  assert.equal(queries.length, 1);
  endAll();
  assert.ok((await Promise.all(asked)).every((row) => row?.version === 1));
});

test('a look-up that began before a change is not kept, nor given to who asks after it', async () => {
  const { cache, write, queries, results } = setUp();
  write('a');
  const before = cache.get('a');
  write('a');
  const after = cache.get('a');
  assert.equal(queries.length, 2);
  queries[1]!.end();
  assert.equal((await after)?.version, 2);
  queries[0]!.end();
  assert.equal((await before)?.version, 1);
  assert.equal((await cache.get('a'))?.version, 2);
  assert.deepEqual(results, ['miss', 'miss', 'hit']);
});

test('that there is no row is kept for a short time, and not when one comes', async () => {
  const { get, write, time, results } = setUp();
  assert.deepEqual([await get('a'), await get('a')], [undefined, undefined]);
  time.now += SETTINGS.missingTtlMs;
  assert.equal(await get('a'), undefined);
  write('a');
  assert.equal(await get('a'), 1);
  assert.deepEqual(results, ['miss', 'hit', 'miss', 'miss']);
});

test('a row that is asked for often is kept longer each time, up to a limit', async () => {
  const { get, write, time, results } = setUp();
  write('a');
  const keptFor: number[] = [];
  await get('a');
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 8; i++) await get('a');
    const from = time.now;
    for (results.length = 0; results.at(-1) !== 'miss'; await get('a')) time.now += 100;
    keptFor.push(time.now - from);
  }
  assert.deepEqual(keptFor, [1000, 2000, 4000, 4000]);
  time.now += 4000;
  await get('a');
  time.now += 1000;
  results.length = 0;
  await get('a');
  assert.deepEqual(results, ['miss'], 'one that nobody asked for is kept as long as at first');
});

test('while others write nothing is kept, and what was known before they did is forgotten', async () => {
  const { get, rows, write, tail, results } = setUp();
  write('a');
  await get('a');
  tail.alone = false;
  rows.set('a', { id: 'a', version: 7 });
  assert.deepEqual([await get('a'), await get('a')], [7, 7]);
  tail.alone = true;
  rows.set('a', { id: 'a', version: 8 });
  assert.equal(await get('a'), 8);
  assert.deepEqual(results, ['miss', 'bypass', 'bypass', 'miss']);
});

test('when it is not sure any more that nobody else writes, nothing is taken from memory', async () => {
  const { get, rows, write, tail, time, results } = setUp();
  write('a');
  await get('a');
  time.monotonic = 10;
  rows.set('a', { id: 'a', version: 7 });
  assert.equal(await get('a'), 7);
  tail.aloneUntil = 20;
  assert.deepEqual(results, ['miss', 'bypass']);
});

test('others who came and went between two look-ups are noticed, and one that was under way is not kept', async () => {
  const { cache, get, rows, write, tail, queries } = setUp();
  write('a');
  await get('a');
  const underWay = cache.get('b');
  tail.alone = false;
  rows.set('a', { id: 'a', version: 7 });
  rows.set('b', { id: 'b', version: 7 });
  tail.alone = true;
  for (const { end } of queries.splice(0)) end();
  assert.equal(await underWay, undefined, 'it was asked for before');
  assert.deepEqual([await get('a'), await get('b')], [7, 7]);
});

test('an error is told to who waits, and the next look-up tries again', async () => {
  const { cache, queries, get, write } = setUp();
  write('a');
  const asked = [cache.get('a'), cache.get('a')];
  queries.splice(0)[0]!.end(new Error('no connection'));
  for (const each of asked) await assert.rejects(each, /no connection/);
  assert.equal(await get('a'), 1);
});

test('no more rows are kept than are allowed', async () => {
  const { get, write, results } = setUp({ maxRows: 2 });
  for (const id of ['a', 'b', 'c']) write(id);
  for (const id of ['a', 'b', 'c', 'b', 'c', 'a']) await get(id);
  assert.deepEqual(results, ['miss', 'miss', 'miss', 'hit', 'hit', 'miss']);
});

test('whatever happens in whatever order: nobody is given less than what was written before they asked', async () => {
  const id = fc.constantFrom('a', 'b');
  const step = fc.oneof(
    fc.record({ kind: fc.constant('get' as const), id }),
    fc.record({ kind: fc.constant('write' as const), id }),
    fc.record({ kind: fc.constant('others write' as const), id }),
    fc.record({ kind: fc.constant('end a query' as const), index: fc.nat(3) }),
    fc.record({ kind: fc.constant('time passes' as const), ms: fc.nat(1500) }),
    fc.record({ kind: fc.constant('others leave' as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { cache, rows, queries, tail, time, store, write, endAll } = setUp();
      const asked: Promise<void>[] = [];
      for (const each of steps) {
        if (each.kind === 'get') {
          const least = rows.get(each.id)?.version ?? 0;
          asked.push(cache.get(each.id).then((row) => assert.ok((row?.version ?? 0) >= least)));
        } else if (each.kind === 'write') write(each.id);
        else if (each.kind === 'others write') {
          tail.alone = false;
          store(each.id);
        } else if (each.kind === 'others leave') tail.alone = true;
        else if (each.kind === 'time passes') time.now += each.ms;
        else queries.splice(each.index, 1)[0]?.end();
        await Promise.resolve();
      }
      endAll();
      await Promise.all(asked);
    }),
  );
});
