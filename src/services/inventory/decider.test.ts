import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ExpectedEvent, given, historyOf, NOW } from '../../../tests/support/given.ts';
import { recorded } from '../../../tests/support/recorded.ts';
import { productIdOf } from '../catalog/contract.ts';
import { MAX_UNITS } from './contract.ts';
import { type AdjustStock, isLow, isOut, type StockEvent, stockDecider } from './decider.ts';
import { type StockRow, stock, stockOf } from './projections.ts';

const productId = productIdOf('CUP-1');

function adjust(change: number, more: Partial<AdjustStock> = {}): AdjustStock {
  return { type: 'AdjustStock', productId, change, reason: 'test', traceId: 'a'.repeat(32), ...more };
}

const history = (...commands: readonly AdjustStock[]) => historyOf(stockDecider, commands);

type Case = readonly [
  name: string,
  before: readonly AdjustStock[],
  command: AdjustStock,
  expected: string | readonly ExpectedEvent[],
];

const updated = (onHand: number, more: object = {}): ExpectedEvent => ({
  type: 'inventory.stock.updated',
  data: { product_id: productId, on_hand: onHand, reserved: 0, available: onHand, ...more },
});
const low = (available: number): ExpectedEvent => ({ type: 'inventory.stock.low', data: { available } });
const out: ExpectedEvent = { type: 'inventory.stock.out', data: { available: 0 } };

const CASES: readonly Case[] = [
  [
    'units come in',
    [],
    adjust(10, { reference: 'r-1' }),
    [updated(10, { change: 10, reason: 'test', reference: 'r-1' })],
  ],
  ['units go out', [adjust(10)], adjust(-4), [updated(6, { change: -4 })]],
  ['all of them', [adjust(10)], adjust(-10), [updated(0), out]],
  ['more than there are', [adjust(10)], adjust(-11), 'insufficient_stock'],
  ['of nothing', [], adjust(-1), 'insufficient_stock'],
  ['as many as can be counted', [], adjust(MAX_UNITS), [updated(MAX_UNITS)]],
  ['more than can be counted', [adjust(1)], adjust(MAX_UNITS), 'stock_too_large'],
  ['the threshold alone', [adjust(10)], adjust(0, { threshold: 3 }), [updated(10, { threshold: 3, change: 0 })]],
  ['it stays', [adjust(10, { threshold: 3 })], adjust(5), [updated(15, { threshold: 3 })]],
  ['down to the threshold', [adjust(10, { threshold: 3 })], adjust(-7), [updated(3), low(3)]],
  ['one above the threshold', [adjust(10, { threshold: 3 })], adjust(-6), [updated(4)]],
  ['lower still', [adjust(10, { threshold: 3 }), adjust(-7)], adjust(-1), [updated(2)]],
  ['down to none', [adjust(10, { threshold: 3 }), adjust(-8)], adjust(-2), [updated(0), out]],
  ['down to none at once', [adjust(10, { threshold: 3 })], adjust(-10), [updated(0), low(0), out]],
  ['up, and low still', [adjust(1, { threshold: 3 }), adjust(-1)], adjust(2), [updated(2)]],
  ['low again', [adjust(3, { threshold: 3 }), adjust(1)], adjust(-1), [updated(3), low(3)]],
  ['out again', [adjust(1), adjust(-1), adjust(1)], adjust(-1), [updated(0), out]],
  ['a threshold that is raised', [adjust(10)], adjust(0, { threshold: 10 }), [updated(10), low(10)]],
  ['a threshold that is lowered', [adjust(3, { threshold: 3 })], adjust(0, { threshold: 2 }), [updated(3)]],
  ['low from the beginning', [], adjust(2, { threshold: 3 }), [updated(2), low(2)]],
  ['out from the beginning', [], adjust(0, { threshold: 3 }), [updated(0), low(0), out]],
  ['no threshold is never low', [adjust(10)], adjust(-9), [updated(1)]],
];

for (const [name, before, command, expected] of CASES) {
  test(name, () => {
    const decided = given(stockDecider, history(...before)).when(command);
    if (typeof expected === 'string') decided.thenRefused(expected);
    else decided.thenEvents(...expected);
  });
}

test('a change that does not start from what there was is a defect', () => {
  const [first] = history(adjust(10));
  assert.throws(() => [first!, first!].reduce(stockDecider.evolve, stockDecider.initial), { name: 'InvariantError' });
});

test('stock is never negative, an alert comes once for each crossing, and the row tells all of it, whatever is asked', () => {
  const change = fc.record({
    change: fc.integer({ min: -6, max: 6 }),
    threshold: fc.option(fc.integer({ min: 0, max: 4 })),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
      let state = stockDecider.initial;
      let row: StockRow | undefined;
      let [wasLow, wasOut] = [false, false];
      const decided: StockEvent[] = [];
      for (const [i, { change, threshold }] of changes.entries()) {
        const command = adjust(change, threshold === null ? {} : { threshold });
        const result = stockDecider.decide(command, state, { now: NOW + i });
        if (!result.ok) continue;
        state = result.value.reduce(stockDecider.evolve, state);
        decided.push(...result.value);
        row = recorded('stock', productId, decided).reduce<StockRow | undefined>(
          (r, event) => stock.evolve(r, event),
          undefined,
        );
        const types = result.value.map(({ type }) => type);
        assert.ok(state.onHand >= 0);
        assert.equal(types.includes('inventory.stock.low'), isLow(state) && !wasLow);
        assert.equal(types.includes('inventory.stock.out'), isOut(state) && !wasOut);
        [wasLow, wasOut] = [isLow(state), isOut(state)];
        assert.deepEqual(stockOf(row!), state);
        assert.deepEqual([row!.low_since !== null, row!.out_since !== null], [wasLow, wasOut]);
      }
    }),
  );
});
