import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ExpectedEvent, given, historyOf, NOW } from '../../../tests/support/given.ts';
import { recorded } from '../../../tests/support/recorded.ts';
import { productIdOf } from '../catalog/contract.ts';
import { paymentIdOf, purchaseIdOf } from './contract.ts';
import { type CreatePurchase, createPurchaseDecider, type PurchaseCommand } from './decider.ts';
import { createPurchaseProjection, type PurchaseRow, purchaseOf } from './projections.ts';
import { DEFAULT_PURCHASE_SETTINGS, nextDeadlineOf, type PurchaseEvent, troubleOf } from './saga.ts';

const settings = {
  ...DEFAULT_PURCHASE_SETTINGS,
  reserveDeadlineMs: 1000,
  paymentDeadlineMs: 5000,
  stepDeadlineMs: 2000,
  maxRefundRounds: 2,
};
const decider = createPurchaseDecider(settings);
const PURCHASE_ID = '01890a5d-ac96-774b-bcce-b302099a8057';
const PAYMENT_ID = '01890a5d-ac96-874b-bcce-b302099a8057';
const traceId = 'a'.repeat(32);
const CUP = productIdOf('CUP-1');
const POT = productIdOf('POT-1');

/** Two cups of 4.25 and a pot of 20.00: 28.50. */
const create: CreatePurchase = {
  type: 'CreatePurchase',
  purchaseId: PURCHASE_ID,
  customerId: 'ann',
  method: 'wallet',
  currency: 'GBP',
  lines: [
    { productId: CUP, sku: 'CUP-1', name: 'Tea cup', quantity: 2, unitPriceMinor: 425 },
    { productId: POT, sku: 'POT-1', name: 'Tea pot', quantity: 1, unitPriceMinor: 2000 },
  ],
  traceId,
};
const reserved = (productId: string): PurchaseCommand => ({ type: 'StockReserved', productId });
const committed = (productId: string): PurchaseCommand => ({ type: 'StockCommitted', productId });
const missing = (productId: string): PurchaseCommand => ({ type: 'StockDeclined', productId, reason: 'out_of_stock' });
const approved: PurchaseCommand = { type: 'PaymentApproved' };
const refused: PurchaseCommand = {
  type: 'PaymentRefused',
  cancellation: 'payment_declined',
  reason: 'insufficient_funds',
};
const cancel = (units?: readonly { productId: string; quantity: number }[]): PurchaseCommand => ({
  type: 'CancelPurchase',
  reason: 'too late',
  ...(units !== undefined && { units }),
});
const overdue: PurchaseCommand = { type: 'DeadlinePassed' };

const PAYING = [create, reserved(CUP), reserved(POT)] as const;
const CONFIRMED = [...PAYING, approved] as const;
const COMPLETED = [...CONFIRMED, committed(CUP), committed(POT)] as const;
const CANCELLED = [...PAYING, cancel()] as const;
const RETURNED = [...COMPLETED, cancel([{ productId: CUP, quantity: 1 }])] as const;

const ALL_REFUNDED: PurchaseCommand = {
  type: 'RefundMade',
  refundId: PURCHASE_ID,
  amountMinor: 2850,
  refundedMinor: 2850,
};

const history = (...commands: readonly PurchaseCommand[]) => historyOf(decider, commands);

const ALL_UNITS = [
  { product_id: CUP, quantity: 2 },
  { product_id: POT, quantity: 1 },
];
const advanced = (product_id: string, reason: string): ExpectedEvent => ({
  type: 'purchase.saga.advanced',
  data: { product_id, reason },
});
const cancelled = (reason: string, more: object = {}): ExpectedEvent => ({
  type: 'purchase.cancelled',
  data: { reason, ...more },
});
const beforePaid = { release: ALL_UNITS, restock: [] };
const askRefund = (amount_minor: number, more: object = {}): ExpectedEvent => ({
  type: 'purchase.refund.requested',
  data: { payment_id: PAYMENT_ID, amount_minor, currency: 'GBP', round: 1, attempt: 1, ...more },
});
const refundIdOf = (events: readonly PurchaseEvent[]): string => {
  const asked = events.findLast(({ type }) => type === 'purchase.refund.requested');
  return (asked as Extract<PurchaseEvent, { type: 'purchase.refund.requested' }>).data.refund_id;
};

type Case = readonly [
  name: string,
  before: readonly PurchaseCommand[],
  command: PurchaseCommand,
  expected: string | readonly ExpectedEvent[],
];

const CASES: readonly Case[] = [
  [
    'is accepted with what its lines cost',
    [],
    create,
    [
      {
        type: 'purchase.created',
        data: {
          purchase_id: PURCHASE_ID,
          payment_id: PAYMENT_ID,
          amount: 28.5,
          amount_minor: 2850,
          lines: [
            { sku: 'CUP-1', unit_price: 4.25, amount: 8.5, amount_minor: 850 },
            { sku: 'POT-1', unit_price: 20, amount: 20, amount_minor: 2000 },
          ],
        },
      },
    ],
  ],
  ['is created once', [create], create, []],
  ['waits for every product', [create], reserved(CUP), [advanced(CUP, 'reserved')]],
  ['hears of each once', [create, reserved(CUP)], reserved(CUP), []],
  [
    'asks for its money when all is reserved',
    [create, reserved(POT)],
    reserved(CUP),
    [{ type: 'purchase.payment.requested', data: { payment_id: PAYMENT_ID, amount_minor: 2850, method: 'wallet' } }],
  ],
  ['asks once', PAYING, reserved(CUP), []],
  [
    'ends when one is out of stock',
    [create, reserved(CUP)],
    missing(POT),
    [cancelled('out_of_stock', { detail: POT, ...beforePaid })],
  ],
  ['ends once', [create, missing(CUP)], missing(POT), []],
  [
    'lets the units leave when it is paid',
    PAYING,
    approved,
    [{ type: 'purchase.confirmed', data: { lines: ALL_UNITS } }],
  ],
  ['is paid once', CONFIRMED, approved, []],
  [
    'ends when it is not paid',
    PAYING,
    refused,
    [cancelled('payment_declined', { detail: 'insufficient_funds', ...beforePaid })],
  ],
  ['is not unpaid again', CONFIRMED, refused, []],
  ['waits for every product to leave', CONFIRMED, committed(POT), [advanced(POT, 'committed')]],
  ['is complete when all have left', [...CONFIRMED, committed(POT)], committed(CUP), [{ type: 'purchase.completed' }]],
  ['is complete once', COMPLETED, committed(CUP), []],
  ['waits for the others when one has gone', CONFIRMED, missing(CUP), [advanced(CUP, 'out_of_stock')]],
  [
    'gives back money and units when one has gone',
    [...CONFIRMED, missing(CUP)],
    committed(POT),
    [
      cancelled('out_of_stock', { detail: CUP, release: [], restock: [{ product_id: POT, quantity: 1 }] }),
      askRefund(2850, { reason: 'out_of_stock' }),
    ],
  ],
  [
    'gives back the money alone when all have gone',
    [...CONFIRMED, missing(CUP)],
    missing(POT),
    [cancelled('out_of_stock', { restock: [] }), askRefund(2850)],
  ],
  ['gives back what is paid after its end', CANCELLED, approved, [askRefund(2850, { reason: 'cancelled' })]],
  ['gives it back once', [...CANCELLED, approved], approved, []],
  ['keeps nothing of what others have given back already', [...CANCELLED, ALL_REFUNDED], approved, []],
  [
    'lets nothing leave for a payment that others have given back already',
    [...PAYING, ALL_REFUNDED],
    approved,
    [cancelled('payment_refunded', beforePaid)],
  ],
  ['is not revived by stock', [create, cancel()], reserved(CUP), []],

  ['of nothing', [], cancel(), 'purchase_not_found'],
  ['before it is reserved', [create], cancel(), [cancelled('cancelled', { detail: 'too late', ...beforePaid })]],
  ['before it is paid', PAYING, cancel(), [cancelled('cancelled', beforePaid)]],
  ['some of what is not paid', PAYING, cancel([{ productId: CUP, quantity: 1 }]), 'purchase_not_cancellable'],
  ['between payment and completion', CONFIRMED, cancel(), 'purchase_not_cancellable'],
  ['again', CANCELLED, cancel(), []],
  ['some of what is cancelled', CANCELLED, cancel([{ productId: CUP, quantity: 1 }]), 'return_exceeds_purchase'],
  [
    'of a completed one',
    COMPLETED,
    cancel(),
    [cancelled('cancelled', { release: [], restock: ALL_UNITS, return_number: 1 }), askRefund(2850)],
  ],
  [
    'some of it',
    COMPLETED,
    cancel([{ productId: CUP, quantity: 1 }]),
    [
      {
        type: 'purchase.returned',
        data: { restock: [{ product_id: CUP, quantity: 1 }], amount_minor: 425, return_number: 1 },
      },
      askRefund(425, { refund_number: 1 }),
    ],
  ],
  [
    'the rest of it',
    RETURNED,
    cancel(),
    [
      cancelled('cancelled', {
        restock: [
          { product_id: CUP, quantity: 1 },
          { product_id: POT, quantity: 1 },
        ],
        return_number: 2,
      }),
      askRefund(2425, { refund_number: 2 }),
    ],
  ],
  ['more than was bought', COMPLETED, cancel([{ productId: CUP, quantity: 3 }]), 'return_exceeds_purchase'],
  ['more than is left', RETURNED, cancel([{ productId: CUP, quantity: 2 }]), 'return_exceeds_purchase'],
  ['what was not bought', COMPLETED, cancel([{ productId: PURCHASE_ID, quantity: 1 }]), 'return_exceeds_purchase'],
  [
    'one product twice over',
    COMPLETED,
    cancel([
      { productId: POT, quantity: 1 },
      { productId: POT, quantity: 1 },
    ]),
    'return_exceeds_purchase',
  ],
  [
    'what others have refunded already: only the units come back',
    [...COMPLETED, { type: 'RefundMade', refundId: PURCHASE_ID, amountMinor: 2850, refundedMinor: 2850 }],
    cancel(),
    [cancelled('cancelled', { restock: ALL_UNITS })],
  ],

  [
    'some of the money, by others',
    COMPLETED,
    { type: 'RefundMade', refundId: PURCHASE_ID, amountMinor: 100, refundedMinor: 100 },
    [{ type: 'purchase.refunded', data: { status: 'PARTIALLY_REFUNDED', refunded_minor: 100 } }],
  ],
  [
    'all of the money, by others',
    COMPLETED,
    { type: 'RefundMade', refundId: PURCHASE_ID, amountMinor: 2850, refundedMinor: 2850 },
    [{ type: 'purchase.refunded', data: { status: 'REFUNDED', refunded_minor: 2850 } }],
  ],
];

for (const [name, before, command, expected] of CASES) {
  test(`${command.type}: ${name}`, () => {
    const decided = given(decider, history(...before)).when(command);
    if (typeof expected === 'string') decided.thenRefused(expected);
    else decided.thenEvents(...expected);
  });
}

const DEADLINES: readonly (readonly [string, readonly PurchaseCommand[], ms: number, readonly ExpectedEvent[]])[] = [
  ['nothing is reserved yet', [create], 999, []],
  ['nothing was reserved', [create], 1000, [cancelled('reservation_timeout', beforePaid)]],
  ['it is not paid yet', PAYING, 4999, []],
  ['it was not paid', PAYING, 5000, [cancelled('payment_timeout', beforePaid)]],
  ['the units have not left yet', CONFIRMED, 1999, []],
  [
    'the units do not leave',
    CONFIRMED,
    2000,
    [{ type: 'purchase.saga.advanced', data: { reason: 'stock_not_answered', attempt: 2 } }],
  ],
  ['all is over', COMPLETED, 1_000_000, []],
  ['the refund may come yet', [...COMPLETED, cancel()], 1999, []],
  ['the refund does not come', [...COMPLETED, cancel()], 2000, [askRefund(2850, { attempt: 2 })]],
];

for (const [name, before, ms, expected] of DEADLINES) {
  test(`past ${ms} ms: ${name}`, () => {
    const events = history(...before);
    given(decider, events)
      .when(overdue, { now: NOW + ms })
      .thenEvents(...expected);
  });
}

test('a refund that is not answered is asked for again under its id', () => {
  const events = history(...COMPLETED, cancel());
  const again = given(decider, events).when(overdue, { now: NOW + 2000 });
  assert.equal(refundIdOf(again.events), refundIdOf(events));
});

test('a refund that failed is asked for under another id, then waits for a person, and is over when somebody has given so much back', () => {
  const events = history(...RETURNED);
  const refundId = refundIdOf(events);
  const failed = given(decider, events).when({ type: 'RefundFailed', refundId, reason: 'gateway_declined' });
  failed.thenEvents({ type: 'purchase.refund.failed', data: { refund_id: refundId, error: 'gateway_declined' } });
  const asFailed = given(decider, [...events, ...failed.events]);
  asFailed.when({ type: 'RefundFailed', refundId, reason: 'again' }).thenNothing();
  const other = asFailed.when(overdue, { now: NOW + 2000 });
  other.thenEvents(askRefund(425, { round: 2, attempt: 2, refund_number: 1 }));
  assert.notEqual(refundIdOf(other.events), refundId);
  const again = given(decider, [...events, ...failed.events, ...other.events]);
  const last = again.when({ type: 'RefundFailed', refundId: refundIdOf(other.events), reason: 'gateway_declined' });
  assert.deepEqual([troubleOf(last.state), nextDeadlineOf(last.state)], ['refund_failed', null], 'two rounds at most');
  const less = asFailed.when({ type: 'RefundMade', refundId: PURCHASE_ID, amountMinor: 400, refundedMinor: 400 });
  assert.equal(troubleOf(less.state), 'refund_failed');
  const enough = asFailed.when({ type: 'RefundMade', refundId: PURCHASE_ID, amountMinor: 425, refundedMinor: 425 });
  assert.equal(troubleOf(enough.state), null);
  const after = asFailed.when({ type: 'RefundMade', refundId, amountMinor: 425, refundedMinor: 425 });
  assert.equal(troubleOf(after.state), null, 'it was made all the same');
});

test('a refund that was less than it asked for, since others had one under way, asks for the rest', () => {
  const events = history(...COMPLETED, cancel());
  const refundId = refundIdOf(events);
  const made = given(decider, events).when({ type: 'RefundMade', refundId, amountMinor: 2000, refundedMinor: 2000 });
  made.thenEvents(
    { type: 'purchase.refunded', data: { status: 'PARTIALLY_REFUNDED', refunded_minor: 2000 } },
    askRefund(850, { refund_number: 2, reason: 'too late' }),
  );
  const theirs = given(decider, [...events, ...made.events]).when({
    type: 'RefundMade',
    refundId: PURCHASE_ID,
    amountMinor: 850,
    refundedMinor: 2850,
  });
  assert.deepEqual([theirs.state.refunds, nextDeadlineOf(theirs.state)], [{}, null]);
});

test('a refund that is made is not asked for again', () => {
  const events = history(...RETURNED);
  const refundId = refundIdOf(events);
  const made = given(decider, events).when({ type: 'RefundMade', refundId, amountMinor: 425, refundedMinor: 425 });
  made.thenEvents({ type: 'purchase.refunded', data: { status: 'PARTIALLY_REFUNDED', refunded_minor: 425 } });
  assert.equal(nextDeadlineOf(made.state), null);
  assert.equal(made.state.refundedMinor, 425);
});

test('messages about payments and products that no purchase waits for change nothing', () => {
  for (const command of [reserved(CUP), committed(CUP), missing(CUP), approved, refused, overdue])
    given(decider, []).when(command).thenNothing();
});

test('the payment of a purchase is known from it, and the purchase from the payment', () => {
  assert.equal(paymentIdOf(PURCHASE_ID), PAYMENT_ID);
  assert.equal(purchaseIdOf(PAYMENT_ID), PURCHASE_ID);
  assert.equal(purchaseIdOf(PURCHASE_ID), undefined, 'the payment of no purchase');
});

test('the row shows what decisions are made on', () => {
  const projection = createPurchaseProjection(settings);
  for (const before of [[create], PAYING, CONFIRMED, COMPLETED, CANCELLED, RETURNED, [...CANCELLED, approved]]) {
    const events = history(...before);
    const state = events.reduce(decider.evolve, decider.initial);
    const row = recorded('purchase', PURCHASE_ID, events).reduce<PurchaseRow | undefined>(
      (r, event) => projection.evolve(r, event),
      undefined,
    );
    assert.deepEqual(purchaseOf(row!), { ...state, answers: {}, paymentToken: null });
    assert.deepEqual([row!.deadline_at, row!.stuck_reason], [nextDeadlineOf(state), troubleOf(state)]);
  }
});
