import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLookup } from './lookup.ts';

/** A database whose queries end when they are told to. */
function slowDatabase() {
  const queries: { readonly ids: readonly string[]; end(cause?: Error): void }[] = [];
  const find = (ids: readonly string[]): Promise<readonly string[]> =>
    new Promise((resolve, reject) => {
      const end = (cause?: Error): void =>
        cause === undefined ? resolve(ids.filter((id) => id !== 'none')) : reject(cause);
      queries.push({ ids, end });
    });
  return { queries, lookup: createLookup(find, (row) => row) };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test('what is asked for while a query is under way goes together in the next one, each id once', async () => {
  const { queries, lookup } = slowDatabase();
  const first = lookup(['a']);
  const others = [lookup(['b', 'c']), lookup(['c', 'none']), lookup(['a'])];
  assert.deepEqual(
    queries.map(({ ids }) => ids),
    [['a']],
  );
  queries[0]!.end();
  assert.deepEqual([...(await first).keys()], ['a']);
  assert.deepEqual(queries[1]!.ids, ['b', 'c', 'none', 'a'], 'a again: it may have changed meanwhile');
  queries[1]!.end();
  const found = await Promise.all(others);
  assert.deepEqual([found[0]!.get('b'), found[1]!.get('none'), found[2]!.get('a')], ['b', undefined, 'a']);
});

test('an error is that of those who waited for the query, and the next ones are answered', async () => {
  const { queries, lookup } = slowDatabase();
  const failed = lookup(['a']);
  const next = lookup(['b']);
  queries[0]!.end(new Error('no connection'));
  await assert.rejects(failed, /no connection/);
  queries[1]!.end();
  assert.equal((await next).get('b'), 'b');
});

test('no query is longer than it may be, unless one caller alone asks for more', async () => {
  const { queries, lookup } = slowDatabase();
  const many = (count: number, name: string) => Array.from({ length: count }, (_, i) => `${name}${i}`);
  const answers = [
    lookup(['a']),
    lookup(many(600, 'b')),
    lookup(many(600, 'c')),
    lookup(many(1500, 'd')),
    lookup(['e']),
  ];
  for (let i = 0; i < 5; i++) {
    queries[i]?.end();
    await settled();
  }
  await Promise.all(answers);
  assert.deepEqual(
    queries.map(({ ids }) => ids.length),
    [1, 600, 600, 1500, 1],
  );
});
