import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { startPlatform } from '../../support/platform.ts';

const platform = await startPlatform();
const { api } = platform;
const AT_ONCE = 50;

const newSku = (): string => `CUP-${randomUUID().slice(0, 8)}`;
const create = (sku: string, more: object = {}) =>
  api.post('/api/v1/products', { sku, name: 'Tea cup', price: '4.25', currency: 'GBP', ...more });
const put = (id: string, body: object) => api.send('PUT', `/api/v1/products/${id}`, body);
const show = (id: string) => api.get(`/api/v1/products/${id}`);
const remove = (id: string, headers = {}) => api.send('DELETE', `/api/v1/products/${id}`, undefined, headers);

/** The SKUs that a search finds, over all pages. */
async function search(query: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (let cursor = ''; ; ) {
    const { status, body } = await api.get(`/api/v1/products?limit=3&${query}${cursor}`);
    assert.equal(status, 200, JSON.stringify(body));
    found.push(...body.data.map(({ sku }: { sku: string }) => sku));
    if (body.next_cursor === null) return found;
    cursor = `&cursor=${encodeURIComponent(body.next_cursor)}`;
  }
}

test('a product is created, found by id and by SKU, changed and deleted', async () => {
  const sku = newSku();
  const created = await create(sku, { description: 'White' });
  assert.equal(created.status, 201);
  const { id, created_at: createdAt } = created.body;
  const expected = { id, sku, name: 'Tea cup', description: 'White', price: 4.25, price_minor: 425, currency: 'GBP' };
  assert.deepEqual(created.body, { ...expected, status: 'ACTIVE', created_at: createdAt, updated_at: createdAt });
  for (const name of [id, sku]) assert.deepEqual((await show(name)).body, created.body);

  const updated = await put(sku, { name: 'Tea cup', price: 3.95, currency: 'GBP', status: 'INACTIVE' });
  assert.equal(updated.status, 200);
  assert.partialDeepStrictEqual(updated.body, { id, description: null, price_minor: 395, status: 'INACTIVE' });
  // What is read after an update is what was updated.
  assert.deepEqual((await show(id)).body, updated.body);

  const removed = await remove(id);
  assert.equal(removed.status, 200);
  assert.equal(removed.body.status, 'DELETED');
  const details = { name: 'Tea cup', price: 4, currency: 'GBP' };
  for (const answer of [await show(id), await show(sku), await remove(sku), await put(id, details)])
    assert.deepEqual([answer.status, answer.body.code], [404, 'product_not_found']);

  const back = await create(sku);
  assert.equal(back.status, 201);
  assert.deepEqual([back.body.id, back.body.status, back.body.description], [id, 'ACTIVE', null]);
});

test('of many at once one creates the product of a SKU', async () => {
  const sku = newSku();
  const answers = await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => create(sku, { name: `Cup ${i}` })));
  const [winner, ...others] = answers.filter(({ status }) => status === 201);
  assert.ok(winner !== undefined && others.length === 0);
  for (const { status, body } of answers) if (status !== 201) assert.equal(body.code, 'product_already_exists');
  assert.deepEqual((await show(sku)).body, winner.body);
});

test('words, and beginnings of words, find products that have all of them', async () => {
  const mark = `m${randomUUID().slice(0, 8)}`;
  const names = ['Blue tea cup', 'Blue tea pot', 'Red tea cup', 'Blue coffee cup', "Child's blue apron"];
  const skus: string[] = [];
  for (const [i, name] of names.entries()) {
    const sku = `${mark}-${i}`;
    assert.equal((await create(sku, { name, description: `${mark} Größe ${i}` })).status, 201);
    skus.push(sku);
  }
  const some = (...indexes: number[]) => indexes.map((i) => skus[i]);
  const q = (text: string) => search(`q=${encodeURIComponent(`${mark} ${text}`)}`);
  assert.deepEqual(await q(''), skus);
  assert.deepEqual(await q('BLUE'), some(0, 1, 3, 4));
  assert.deepEqual(await q('cup blue'), some(0, 3));
  assert.deepEqual(await q('te'), some(0, 1, 2));
  assert.deepEqual(await q('größe tea pot'), some(1));
  assert.deepEqual(await q("child's"), some(4));
  assert.deepEqual(await q('saucer'), []);
  for (const odd of ["' & | ! ( ) :*", '\\', '%', '&&', '<->', ':*']) assert.deepEqual(await q(odd), skus, odd);
  assert.deepEqual(await search(`q=${encodeURIComponent("!'")}`), []);

  await put(skus[0]!, { name: names[0], price: 1, currency: 'GBP', status: 'INACTIVE' });
  await remove(skus[1]!);
  assert.deepEqual(await search(`q=${mark}`), some(0, 2, 3, 4));
  assert.deepEqual(await search(`q=${mark}&status=ACTIVE`), some(2, 3, 4));
  assert.deepEqual(await search(`q=${mark}&status=DELETED`), some(1));
});

test('what is wrong with a product is said, every part of it', async () => {
  const codes = async (answer: ReturnType<typeof create>) => {
    const { status, body } = await answer;
    return [
      status,
      body.code,
      (body.errors ?? []).map(({ field, code }: { field: string; code: string }) => `${field} ${code}`),
    ];
  };
  const cases: readonly (readonly [object, string, readonly string[]])[] = [
    [{ price: 0 }, 'amount_not_positive', ['price amount_not_positive']],
    [{ price: '4.255' }, 'amount_too_precise', ['price amount_too_precise']],
    [{ price: 'cheap' }, 'invalid_amount', ['price invalid_amount']],
    [{ currency: 'XYZ' }, 'unknown_currency', ['currency unknown_currency']],
    [{ name: '' }, 'invalid_request', ['name too_short']],
    [{ sku: ' CUP' }, 'invalid_request', ['sku wrong_format']],
    [{ sku: 'CUP\n1' }, 'invalid_request', ['sku wrong_format']],
    [{ sku: 'x'.repeat(65) }, 'invalid_request', ['sku too_long']],
    [{ status: 'DELETED' }, 'invalid_request', ['status not_allowed']],
    [{ colour: 'blue' }, 'invalid_request', ['colour unknown_field']],
    [{ name: 7, price: -1 }, 'invalid_request', ['name wrong_type', 'price amount_not_positive']],
  ];
  for (const [more, code, errors] of cases)
    assert.deepEqual(await codes(create(newSku(), more)), [422, code, errors], JSON.stringify(more));
  const sku = newSku();
  await create(sku);
  const wrong = await put(sku, { sku: 'other', name: 'Mug', currency: 'GBP' });
  assert.deepEqual(wrong.body.errors.map(({ field }: { field: string }) => field).sort(), ['price', 'sku']);
  assert.equal((await put(newSku(), { name: 'Mug', price: 1, currency: 'GBP' })).body.code, 'product_not_found');
  assert.equal((await api.get('/api/v1/products?cursor=%20x')).body.code, 'invalid_cursor');
});

test('a request that is repeated gets the answer that it got', async () => {
  const sku = newSku();
  const body = { sku, name: 'Tea cup', price: 4.25, currency: 'GBP' };
  const key = { 'idempotency-key': randomUUID() };
  const first = await api.post('/api/v1/products', body, key);
  const again = await api.post('/api/v1/products', body, key);
  assert.deepEqual([first.status, again.status, again.headers.get('idempotency-replayed')], [201, 201, 'true']);
  assert.deepEqual(again.body, first.body);
  const removed = await remove(sku, key);
  const removedAgain = await remove(sku, key);
  assert.deepEqual([removed.status, removedAgain.status], [200, 200]);
  assert.deepEqual(removedAgain.body, removed.body);
});
