import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ExpectedEvent, given, historyOf, NOW } from '../../../tests/support/given.ts';
import { recorded } from '../../../tests/support/recorded.ts';
import { productIdOf } from './contract.ts';
import { type ProductCommand, type ProductDetails, type ProductEvent, productDecider } from './decider.ts';
import { type ProductRow, productOf, products } from './projections.ts';

const SKU = 'CUP-1';
const productId = productIdOf(SKU);
const traceId = 'a'.repeat(32);
const CUP: ProductDetails = {
  name: 'Tea cup',
  description: null,
  priceMinor: 425,
  currency: 'GBP',
  status: 'ACTIVE',
};

function create(details: Partial<ProductDetails> = {}): ProductCommand {
  return { type: 'CreateProduct', productId, sku: SKU, ...CUP, ...details, traceId };
}
function update(details: Partial<ProductDetails> = {}): ProductCommand {
  return { type: 'UpdateProduct', ...CUP, ...details, traceId };
}
const remove: ProductCommand = { type: 'DeleteProduct', traceId };

const history = (...commands: readonly ProductCommand[]) => historyOf(productDecider, commands);

type Case = readonly [
  name: string,
  before: readonly ProductCommand[],
  command: ProductCommand,
  expected: string | readonly ExpectedEvent[],
];

const changed = (fields: readonly string[], more: object = {}): readonly ExpectedEvent[] => [
  { type: 'product.updated', data: { product_id: productId, sku: SKU, changed: fields, ...more } },
];

const CASES: readonly Case[] = [
  [
    'a product is created',
    [],
    create({ description: 'White' }),
    [{ type: 'product.created', data: { sku: SKU, price: 4.25, price_minor: 425, description: 'White' } }],
  ],
  ['a SKU names one product', [create()], create({ name: 'Another' }), 'product_already_exists'],
  ['a price is changed', [create()], update({ priceMinor: 395 }), changed(['price'], { price: 3.95 })],
  ['a description is taken away', [create({ description: 'White' })], update(), changed(['description'])],
  ['it is not sold for now', [create()], update({ status: 'INACTIVE' }), changed(['status'], { status: 'INACTIVE' })],
  [
    'in another currency',
    [create()],
    update({ currency: 'JPY' }),
    changed(['currency'], { price: 425, price_minor: 425 }),
  ],
  ['everything as it is', [create(), update({ name: 'Mug' })], update({ name: 'Mug' }), []],
  ['one that there is not', [], update(), 'product_not_found'],
  ['it is deleted', [create()], remove, [{ type: 'product.deleted', data: { product_id: productId, sku: SKU } }]],
  ['one that was deleted is not changed', [create(), remove], update({ name: 'Mug' }), 'product_not_found'],
  ['one that was deleted is not deleted again', [create(), remove], remove, 'product_not_found'],
  ['one that was deleted is put back', [create(), remove], create({ name: 'Mug' }), [{ type: 'product.created' }]],
];

for (const [name, before, command, expected] of CASES) {
  test(name, () => {
    const decided = given(productDecider, history(...before)).when(command);
    if (typeof expected === 'string') decided.thenRefused(expected);
    else decided.thenEvents(...expected);
  });
}

test('a price that is none is a defect', () => {
  for (const priceMinor of [0, -1, 0.5, Number.MAX_SAFE_INTEGER + 1])
    assert.throws(() => given(productDecider, []).when(create({ priceMinor })), { name: 'InvariantError' });
});

test('the row shows what the stream says, whatever is asked', () => {
  const details = fc.record({
    name: fc.constantFrom('Tea cup', 'Mug'),
    description: fc.constantFrom(null, 'White'),
    priceMinor: fc.integer({ min: 1, max: 3 }),
    status: fc.constantFrom('ACTIVE' as const, 'INACTIVE' as const),
  });
  const command = fc.oneof(details.map(create), details.map(update), fc.constant(remove));
  fc.assert(
    fc.property(fc.array(command, { maxLength: 20 }), (commands) => {
      let state = productDecider.initial;
      const decided: ProductEvent[] = [];
      for (const [i, next] of commands.entries()) {
        const result = productDecider.decide(next, state, { now: NOW + i });
        const events = result.ok ? result.value : [];
        state = events.reduce(productDecider.evolve, state);
        decided.push(...events);
      }
      const rows = recorded('product', productId, decided);
      const row = rows.reduce<ProductRow | undefined>((before, event) => products.evolve(before, event), undefined);
      if (row === undefined) assert.equal(decided.length, 0);
      else assert.deepEqual([productOf(row), row.version], [state, decided.length]);
    }),
  );
});
