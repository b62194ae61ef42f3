import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ExpectedEvent, given, historyOf, NOW } from '../../../tests/support/given.ts';
import { recorded } from '../../../tests/support/recorded.ts';
import { productIdOf } from '../catalog/contract.ts';
import { MAX_UNITS } from './contract.ts';
import {
  type AdjustStock,
  createStockDecider,
  DEFAULT_STOCK_SETTINGS,
  type StockCommand,
  type StockEvent,
  type StockState,
} from './decider.ts';
import { isLow, isOut } from './levels.decider.ts';
import { type ReservationRow, reservations, type StockRow, stock, stockOf } from './projections.ts';

const TTL_MS = 1000;
const decider = createStockDecider({ ...DEFAULT_STOCK_SETTINGS, reservationTtlMs: TTL_MS, maxReservations: 2 });
const productId = productIdOf('CUP-1');
const traceId = 'a'.repeat(32);
const purchase = (n: number): string => `01890a5d-ac96-774b-bcce-b302099a8${String(n).padStart(3, '0')}`;

function adjust(change: number, more: Partial<AdjustStock> = {}): AdjustStock {
  return { type: 'AdjustStock', productId, change, reason: 'test', traceId, ...more };
}

const units = (n: number, quantity: number) => ({ productId, purchaseId: purchase(n), quantity, traceId });
const reserve = (n: number, quantity: number, notAfter = Number.POSITIVE_INFINITY): StockCommand => ({
  type: 'ReserveStock',
  ...units(n, quantity),
  notAfter,
});
const commit = (n: number, quantity: number): StockCommand => ({ type: 'CommitStock', ...units(n, quantity) });
const release = (n: number, quantity: number): StockCommand => ({ type: 'ReleaseStock', ...units(n, quantity) });
const giveBack = (n: number, quantity: number): StockCommand => ({
  type: 'ReturnStock',
  ...units(n, quantity),
  returnNumber: 1,
});
const expire = (n: number): StockCommand => ({ type: 'ExpireReservation', productId, purchaseId: purchase(n) });

const history = (...commands: readonly StockCommand[]) => historyOf(decider, commands);

type Case = readonly [
  name: string,
  before: readonly StockCommand[],
  command: StockCommand,
  expected: string | readonly ExpectedEvent[],
];

const levels = (onHand: number, reserved = 0) => ({
  product_id: productId,
  on_hand: onHand,
  reserved,
  available: onHand - reserved,
});
const updated = (onHand: number, more: object = {}): ExpectedEvent => ({
  type: 'inventory.stock.updated',
  data: { ...levels(onHand), ...more },
});
const low = (available: number): ExpectedEvent => ({ type: 'inventory.stock.low', data: { available } });
const out: ExpectedEvent = { type: 'inventory.stock.out', data: { available: 0 } };
const ofPurchase = (type: string, n: number, quantity: number, more: object): ExpectedEvent => ({
  type,
  data: { purchase_id: purchase(n), lines: [{ product_id: productId, quantity }], ...more },
});
const declined = (n: number, quantity: number, reason: string): ExpectedEvent =>
  ofPurchase('inventory.reservation.declined', n, quantity, { reason });

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

  [
    'units are kept for a purchase',
    [adjust(10)],
    reserve(1, 4),
    [ofPurchase('inventory.reserved', 1, 4, { ...levels(10, 4), expires_at: new Date(NOW + TTL_MS).toISOString() })],
  ],
  [
    'the last of them',
    [adjust(10, { threshold: 2 })],
    reserve(1, 10),
    [ofPurchase('inventory.reserved', 1, 10, levels(10, 10)), low(0), out],
  ],
  ['more than there are', [adjust(10)], reserve(1, 11), [declined(1, 11, 'out_of_stock')]],
  ['more than is left by others', [adjust(10), reserve(1, 7)], reserve(2, 4), [declined(2, 4, 'out_of_stock')]],
  ['of what was never there', [], reserve(1, 1), [declined(1, 1, 'out_of_stock')]],
  [
    'for too many at once',
    [adjust(10), reserve(1, 1), reserve(2, 1)],
    reserve(3, 1),
    [declined(3, 1, 'too_many_reservations')],
  ],
  [
    'for others after one has ended',
    [adjust(10), reserve(1, 1), reserve(2, 1), release(1, 1)],
    reserve(3, 1),
    [ofPurchase('inventory.reserved', 3, 1, levels(10, 2))],
  ],
  ['for a purchase that is over', [adjust(10)], reserve(1, 4, NOW - 1), []],
  ['for the same purchase again', [adjust(10), reserve(1, 4)], reserve(1, 4), []],
  ['units that are kept cannot go out by hand', [adjust(10), reserve(1, 4)], adjust(-7), 'insufficient_stock'],
  ['the others can', [adjust(10), reserve(1, 4)], adjust(-6), [updated(4, levels(4, 4)), out]],
  [
    'what was kept leaves when it is paid',
    [adjust(10), reserve(1, 4), reserve(2, 3)],
    commit(1, 4),
    [ofPurchase('inventory.committed', 1, 4, levels(6, 3))],
  ],
  [
    'the last leaves, which was out before',
    [adjust(1), reserve(1, 1)],
    commit(1, 1),
    [ofPurchase('inventory.committed', 1, 1, levels(0))],
  ],
  [
    'what was kept is given up',
    [adjust(10), reserve(1, 4)],
    release(1, 4),
    [ofPurchase('inventory.released', 1, 4, { ...levels(10), reason: 'cancelled' })],
  ],
  ['what was not kept is not', [adjust(10)], release(1, 4), []],
  ['what has left is not', [adjust(10), reserve(1, 4), commit(1, 4)], release(1, 4), []],
  [
    'paid too late, and there are some',
    [adjust(10), reserve(1, 4), release(1, 4)],
    commit(1, 4),
    [ofPurchase('inventory.committed', 1, 4, levels(6))],
  ],
  [
    'paid too late, and they are kept for another',
    [adjust(4), reserve(1, 4), release(1, 4), reserve(2, 1)],
    commit(1, 4),
    [declined(1, 4, 'out_of_stock')],
  ],
  [
    'units come back',
    [adjust(4), reserve(1, 4), commit(1, 4)],
    giveBack(1, 3),
    [updated(3, { change: 3, reason: 'returned', purchase_id: purchase(1), return_number: 1 })],
  ],
  ['what is not overdue does not expire', [adjust(4), reserve(1, 4)], expire(1), []],
  ['nor what is not kept', [adjust(4)], expire(1), []],
];

for (const [name, before, command, expected] of CASES) {
  test(`${command.type}: ${name}`, () => {
    const decided = given(decider, history(...before)).when(command);
    if (typeof expected === 'string') decided.thenRefused(expected);
    else decided.thenEvents(...expected);
  });
}

test('what is overdue expires, and keeps the trace of its purchase', () => {
  given(decider, history(adjust(4), reserve(1, 4)))
    .when(expire(1), { now: NOW + TTL_MS })
    .thenEvents(ofPurchase('inventory.released', 1, 4, { ...levels(4), reason: 'expired', trace_id: traceId }));
});

test('a request that was answered before is not answered again', () => {
  const stream = given(decider, history(adjust(4)));
  for (const command of [reserve(1, 1), commit(1, 1), giveBack(1, 1)])
    stream.when(command, { answered: true }).thenNothing();
});

test('a change that does not start from what there was is a defect', () => {
  const [first] = history(adjust(10));
  assert.throws(() => [first!, first!].reduce(decider.evolve, decider.initial), { name: 'InvariantError' });
});

test('a purchase that takes another quantity than was kept for it is a defect', () => {
  assert.throws(() => given(decider, history(adjust(10), reserve(1, 4))).when(commit(1, 5)), {
    name: 'InvariantError',
  });
});

test('stock is never negative, alerts come once for each crossing, and the rows tell all of it, whatever is asked', () => {
  const number = fc.integer({ min: 1, max: 4 });
  const quantity = fc.integer({ min: 1, max: 3 });
  const command = fc.oneof(
    fc
      .record({ change: fc.integer({ min: -6, max: 6 }), threshold: fc.option(fc.integer({ min: 0, max: 4 })) })
      .map(({ change, threshold }) => adjust(change, threshold === null ? {} : { threshold })),
    fc.tuple(number, quantity).map(([n, q]) => reserve(n, q)),
    // What is committed is what was reserved: each purchase has a quantity of its own.
    number.map((n) => ({ n, type: 'commit' as const })),
    number.map((n) => release(n, 1)),
    number.map((n) => expire(n)),
    fc.tuple(number, quantity).map(([n, q]) => giveBack(n, q)),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(command, fc.nat(TTL_MS)), { maxLength: 40 }), (commands) => {
      let state: StockState = decider.initial;
      let now = NOW;
      let [wasLow, wasOut] = [false, false];
      const decided: StockEvent[] = [];
      for (const [asked, passes] of commands) {
        now += passes;
        const result = decider.decide(resolve(asked, state), state, { now });
        if (!result.ok) continue;
        state = result.value.reduce(decider.evolve, state);
        decided.push(...result.value);
        const types = result.value.map(({ type }) => type);
        assert.ok(state.onHand >= state.reserved && state.reserved >= 0);
        assert.equal(sumOf(openOf(state).map(([, { quantity }]) => quantity)), state.reserved);
        assert.equal(openOf(state).length, state.reservations.count);
        if (state.updatedAt > 0) {
          assert.equal(types.includes('inventory.stock.low'), isLow(state) && !wasLow);
          assert.equal(types.includes('inventory.stock.out'), isOut(state) && !wasOut);
          [wasLow, wasOut] = [isLow(state), isOut(state)];
        }
        checkRows(decided, state);
      }
    }),
  );
});

function resolve(
  asked: StockCommand | { readonly n: number; readonly type: 'commit' },
  state: StockState,
): StockCommand {
  if (asked.type !== 'commit') return asked;
  const kept = openOf(state).find(([id]) => id === purchase(asked.n));
  return commit(asked.n, kept?.[1].quantity ?? 1);
}

function openOf({ reservations: { buckets } }: StockState) {
  return Object.values(buckets).flatMap((bucket) => Object.entries(bucket));
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, n) => sum + n, 0);
}

function checkRows(decided: readonly StockEvent[], state: StockState): void {
  const log = recorded('stock', productId, decided);
  const row = log
    .filter(({ type }) => stock.events.includes(type))
    .reduce<StockRow | undefined>((before, event) => stock.evolve(before, event), undefined);
  const { reservations: _reservations, ...expected } = state;
  if (row !== undefined) {
    assert.deepEqual(stockOf(row), expected);
    assert.deepEqual([row.low_since !== null, row.out_since !== null], [isLow(state), isOut(state)]);
  }
  const rows = new Map<string, ReservationRow>();
  for (const event of log)
    if (reservations.events.includes(event.type))
      rows.set(event.data.purchase_id, reservations.evolve(rows.get(event.data.purchase_id), event));
  const open = [...rows.values()].filter(({ status }) => status === 'OPEN');
  assert.deepEqual(
    open.map((row) => row.purchase_id).sort(),
    openOf(state)
      .map(([id]) => id)
      .sort(),
  );
}
