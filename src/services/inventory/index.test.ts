import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recorded } from '../../../tests/support/recorded.ts';
import { productIdOf } from '../catalog/contract.ts';
import { STOCK } from './contract.ts';
import { DEFAULT_STOCK_SETTINGS } from './decider.ts';
import { inventoryService } from './index.ts';

const service = inventoryService(DEFAULT_STOCK_SETTINGS);
const PURCHASE_ID = '01890a5d-ac96-774b-bcce-b302099a8057';
const traceId = 'a'.repeat(32);
const [CUP, POT] = [productIdOf('CUP-1'), productIdOf('POT-1')];
const lines = [
  { product_id: CUP, quantity: 2 },
  { product_id: POT, quantity: 1 },
];
const reserve_until = '2026-11-22T10:00:30.000Z';
const purchase = { purchase_id: PURCHASE_ID, trace_id: traceId, reserve_until };

function reactionsTo(type: string, data: object) {
  const [event] = recorded('purchase', PURCHASE_ID, [{ type, data: { ...purchase, ...data } }]);
  return service.reactions[type]!(event!);
}

const commandsOf = (type: string, data: object) =>
  reactionsTo(type, data).map(({ aggregate, id, command }) => ({ aggregate, id, ...command }));
const ask = (type: string, productId: string, quantity: number, more = {}) => ({
  ...{ aggregate: STOCK, id: productId, type, productId, purchaseId: PURCHASE_ID, quantity, traceId },
  ...more,
});

test('a purchase asks for each of its products', () => {
  assert.deepEqual(commandsOf('purchase.created', { lines }), [
    ask('ReserveStock', CUP, 2, { notAfter: Date.parse(reserve_until) }),
    ask('ReserveStock', POT, 1, { notAfter: Date.parse(reserve_until) }),
  ]);
});

test('what is paid leaves', () => {
  assert.deepEqual(commandsOf('purchase.confirmed', { lines }), [
    ask('CommitStock', CUP, 2),
    ask('CommitStock', POT, 1),
  ]);
});

test('what ends is released where it was kept, and comes back where it had left', () => {
  const data = { release: [lines[0]], restock: [lines[1]], return_number: 2 };
  assert.deepEqual(commandsOf('purchase.cancelled', data), [
    ask('ReleaseStock', CUP, 2),
    ask('ReturnStock', POT, 1, { returnNumber: 2 }),
  ]);
});

test('some of it comes back', () => {
  const data = { restock: [lines[1]], return_number: 1 };
  assert.deepEqual(commandsOf('purchase.returned', data), [ask('ReturnStock', POT, 1, { returnNumber: 1 })]);
});

test('an answer is known by purchase, product and what was asked, also among several returns', () => {
  const of = (type: string, data: object) => recorded('stock', CUP, [{ type, data: { ...purchase, ...data } }])[0]!;
  const [reserve] = reactionsTo('purchase.created', { lines });
  const [commit] = reactionsTo('purchase.confirmed', { lines });
  assert.notEqual(reserve?.lookBack?.key, commit?.lookBack?.key);
  const yes = of('inventory.reserved', {});
  const no = of('inventory.reservation.declined', {});
  const left = of('inventory.committed', {});
  const isAnswer = [reserve, commit].map((reaction) => [yes, no, left].map((e) => reaction?.lookBack?.isAnswer(e)));
  assert.deepEqual(isAnswer, [
    [true, true, false],
    [false, true, true],
  ]);
  const other = of('inventory.reserved', { purchase_id: CUP });
  assert.equal(reserve?.lookBack?.isAnswer(other), false);
  const [first, second] = [1, 2].map(
    (return_number) => reactionsTo('purchase.returned', { restock: lines, return_number })[0],
  );
  assert.notEqual(first?.lookBack?.key, second?.lookBack?.key);
  const back = of('inventory.stock.updated', { return_number: 2 });
  assert.deepEqual([first?.lookBack?.isAnswer(back), second?.lookBack?.isAnswer(back)], [false, true]);
});
