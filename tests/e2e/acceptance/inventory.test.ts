import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { startPlatform } from '../../support/platform.ts';

const platform = await startPlatform();
const { api } = platform;
const AT_ONCE = 100;

const newProduct = (): string => randomUUID();
const adjust = (product: string, body: object, headers = {}) =>
  api.post(`/api/v1/inventory/${product}/adjustments`, { reason: 'test', ...body }, headers);
const show = (product: string) => api.get(`/api/v1/inventory/${product}`);

/** The alerts of these products, over all pages. */
async function alertsOf(...products: readonly string[]) {
  const found: { product_id: string; kind: string; available: number }[] = [];
  for (let cursor = ''; ; ) {
    const { status, body } = await api.get(`/api/v1/inventory/alerts?limit=2${cursor}`);
    assert.equal(status, 200);
    found.push(...body.data);
    if (body.next_cursor === null) break;
    cursor = `&cursor=${body.next_cursor}`;
  }
  return products.map((product) => found.find(({ product_id }) => product_id === product)?.kind);
}

test('units come in and go out, and what is read is what there is', async () => {
  const product = newProduct();
  assert.deepEqual([(await show(product)).status, (await show(product)).body.code], [404, 'stock_not_found']);
  const { status, body } = await adjust(product, { change: 10, threshold: 3 });
  const levels = { product_id: product, on_hand: 10, reserved: 0, available: 10, threshold: 3 };
  assert.deepEqual([status, body], [201, { ...levels, updated_at: body.updated_at }]);
  assert.deepEqual((await show(product)).body, body);
  const less = await adjust(product, { change: -4 });
  assert.equal(less.body.on_hand, 6);
  assert.deepEqual((await show(product)).body, less.body);
  const tooMuch = await adjust(product, { change: -7 });
  assert.deepEqual(
    [tooMuch.status, tooMuch.body.code, tooMuch.body.errors[0].field],
    [422, 'insufficient_stock', 'change'],
  );
  assert.equal((await show(product)).body.on_hand, 6);
});

test('a product is known by its SKU, too', async () => {
  const sku = `CUP-${randomUUID().slice(0, 8)}`;
  const { body: product } = await api.post('/api/v1/products', { sku, name: 'Tea cup', price: 1, currency: 'GBP' });
  assert.equal((await adjust(sku, { change: 5 })).status, 201);
  assert.equal((await show(product.id)).body.on_hand, 5);
  assert.deepEqual((await show(sku)).body, (await show(product.id)).body);
});

test('of many that take units at once, only as many get some as there are', async () => {
  const product = newProduct();
  await adjust(product, { change: 60 });
  const answers = await Promise.all(Array.from({ length: AT_ONCE }, () => adjust(product, { change: -1 })));
  assert.equal(answers.filter(({ status }) => status === 201).length, 60);
  for (const { status, body } of answers) assert.ok(status === 201 || body.code === 'insufficient_stock');
  assert.deepEqual([(await show(product)).body.on_hand, await alertsOf(product)], [0, ['OUT']]);
});

test('low and empty stock is listed as long as it is so', async () => {
  const products = Array.from({ length: 5 }, newProduct);
  for (const product of products) await adjust(product, { change: 10, threshold: 3 });
  const [plenty, low, out, again] = products as [string, string, string, string, string];
  await adjust(low, { change: -7 });
  await adjust(out, { change: -10 });
  await adjust(again, { change: -9 });
  assert.deepEqual(await alertsOf(plenty, low, out, again), [undefined, 'LOW', 'OUT', 'LOW']);
  await adjust(again, { change: 9 });
  await adjust(out, { change: 1 });
  assert.deepEqual(await alertsOf(plenty, low, out, again), [undefined, 'LOW', 'LOW', undefined]);
});

test('an adjustment is made once for its reference, and for its Idempotency-Key', async () => {
  const product = newProduct();
  for (let i = 0; i < 3; i++) {
    const { status, body } = await adjust(product, { change: 10, reference: 'delivery-1' });
    assert.deepEqual([status, body.on_hand], [201, 10]);
  }
  assert.equal((await adjust(product, { change: 11, reference: 'delivery-1' })).body.code, 'reference_reused');
  const key = { 'idempotency-key': randomUUID() };
  for (let i = 0; i < 2; i++) assert.equal((await adjust(product, { change: 1 }, key)).body.on_hand, 11);
  assert.equal((await adjust(product, { change: 2 }, key)).body.code, 'idempotency_key_reused');
  assert.equal((await show(product)).body.on_hand, 11);
});

test('what is wrong with an adjustment is said', async () => {
  const product = newProduct();
  const cases: readonly (readonly [object, readonly string[]])[] = [
    [{}, ['change required']],
    [{ change: 0 }, ['change required']],
    [{ change: 1.5 }, ['change wrong_type']],
    [{ change: '5' }, ['change wrong_type']],
    [{ change: 2e9 }, ['change out_of_range']],
    [{ threshold: -1 }, ['threshold out_of_range']],
    [{ change: 1, reason: '' }, ['reason too_short']],
    [{ change: 1, units: 4 }, ['units unknown_field']],
  ];
  for (const [more, expected] of cases) {
    const { status, body } = await adjust(product, more);
    const errors = body.errors.map(({ field, code }: { field: string; code: string }) => `${field} ${code}`);
    assert.deepEqual([status, errors], [422, expected], JSON.stringify(more));
  }
  assert.equal((await show(product)).status, 404);
  assert.equal((await api.get('/api/v1/inventory/alerts?cursor=x')).body.code, 'invalid_cursor');
});
