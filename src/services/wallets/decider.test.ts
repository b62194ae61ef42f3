import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { NewEvent } from '#kernel/core/decider.ts';
import { type ExpectedEvent, given, historyOf, NOW } from '../../../tests/support/given.ts';
import { walletIdOf } from './contract.ts';
import { createWalletDecider, DEFAULT_WALLET_SETTINGS, type WalletCommand } from './decider.ts';

const MAX = Number.MAX_SAFE_INTEGER;
const WALLET_ID = walletIdOf('customer-1');
const PAYMENT_ID = '019aaf00-0000-7000-8000-000000000001';
const REFUND_ID = '019aaf00-0000-7000-9000-000000000001';
const decider = createWalletDecider(DEFAULT_WALLET_SETTINGS);

const owner = { walletId: WALLET_ID, userId: 'customer-1' };
const request = {
  ...owner,
  paymentId: PAYMENT_ID,
  currency: 'USD',
  traceId: 'a'.repeat(32),
  requestedAt: NOW,
  attempt: 1,
};

function open(overdraftLimitMinor = 0): WalletCommand {
  return { type: 'OpenWallet', ...owner, currency: 'USD', overdraftLimitMinor };
}
function credit(amountMinor: number, more: object = {}): WalletCommand {
  return { type: 'Credit', amountMinor, reason: 'deposit', ...more };
}
function debit(amountMinor: number, more: object = {}): WalletCommand {
  return { type: 'Debit', amountMinor, reason: 'withdrawal', ...more };
}
function pay(amountMinor: number, more: object = {}): WalletCommand {
  return { type: 'DebitForPayment', ...request, amountMinor, ...more };
}
function giveBack(amountMinor: number, more: object = {}): WalletCommand {
  return { type: 'CreditForPayment', ...request, refundId: REFUND_ID, reason: 'refund', amountMinor, ...more };
}

const history = (...commands: readonly WalletCommand[]) => historyOf(decider, commands);

type Case = readonly [
  name: string,
  before: readonly WalletCommand[],
  command: WalletCommand,
  expected: string | readonly ExpectedEvent[],
];

const balance = (previous: number, next: number) => ({
  previous_balance: previous / 100,
  previous_balance_minor: previous,
  new_balance: next / 100,
  new_balance_minor: next,
});
const moved = (type: string, amount: number, previous: number, next: number, more: object = {}): ExpectedEvent => ({
  type,
  data: { amount: amount / 100, amount_minor: amount, ...balance(previous, next), status: 'APPROVED', ...more },
});
const declined = (type: string, reason: string, previous: number): ExpectedEvent => ({
  type,
  data: { reason, status: 'DECLINED', payment_id: PAYMENT_ID, ...balance(previous, previous) },
});

const CASES: readonly Case[] = [
  [
    'a wallet is opened empty',
    [],
    open(500),
    [{ type: 'wallet.opened', data: { overdraft_limit: 5, currency: 'USD' } }],
  ],
  ['a user has one wallet', [open()], open(), 'wallet_already_exists'],

  ['a deposit', [open()], credit(500), [moved('wallet.credited', 500, 0, 500, { reason: 'deposit' })]],
  ['a withdrawal', [open(), credit(500)], debit(200), [moved('wallet.debited', 200, 500, 300)]],
  ['everything', [open(), credit(500)], debit(500), [moved('wallet.debited', 500, 500, 0)]],
  ['more than there is', [open(), credit(500)], debit(501), 'insufficient_funds'],
  ['down to the overdraft limit', [open(100), credit(500)], debit(600), [moved('wallet.debited', 600, 500, -100)]],
  ['below the overdraft limit', [open(100), credit(500)], debit(601), 'insufficient_funds'],
  ['as much as can be counted', [open()], credit(MAX), [{ type: 'wallet.credited', data: { new_balance_minor: MAX } }]],
  ['more than can be counted', [open(), credit(MAX)], credit(1), 'balance_too_large'],
  [
    'down to the largest limit',
    [open(MAX)],
    debit(MAX),
    [{ type: 'wallet.debited', data: { new_balance_minor: -MAX } }],
  ],
  ['below the largest limit', [open(MAX), debit(MAX)], debit(1), 'insufficient_funds'],
  ['in another currency', [open()], credit(500, { currency: 'EUR' }), 'currency_mismatch'],
  ['no wallet', [], credit(500), 'wallet_not_found'],
  ['nothing', [open()], credit(0), 'amount_not_positive'],
  ['less than nothing', [open()], debit(-5), 'amount_not_positive'],
  ['part of a cent', [open()], credit(0.5), 'amount_not_positive'],
  [
    'with a reference and a value date',
    [open()],
    credit(500, { reference: 'r-1', effectiveAt: Date.UTC(1993, 0, 1) }),
    [moved('wallet.credited', 500, 0, 500, { reference: 'r-1', effective_at: '1993-01-01T00:00:00.000Z' })],
  ],

  [
    'a payment',
    [open(), credit(500)],
    pay(200),
    [moved('wallet.debited', 200, 500, 300, { payment_id: PAYMENT_ID, reason: 'success', wallet_id: WALLET_ID })],
  ],
  [
    'a payment without funds',
    [open(), credit(500)],
    pay(501),
    [declined('wallet.debit.declined', 'insufficient_funds', 500)],
  ],
  ['a payment without a wallet', [], pay(501), [declined('wallet.debit.declined', 'wallet_not_found', 0)]],
  [
    'a payment in another currency',
    [open(), credit(500)],
    pay(200, { currency: 'JPY' }),
    [declined('wallet.debit.declined', 'currency_mismatch', 500)],
  ],
  [
    'a refund',
    [open()],
    giveBack(200),
    [moved('wallet.credited', 200, 0, 200, { payment_id: PAYMENT_ID, refund_id: REFUND_ID, reason: 'refund' })],
  ],
  ['a compensation', [open()], giveBack(200, { reason: 'compensation' }), [moved('wallet.credited', 200, 0, 200)]],
  [
    'a refund that cannot be counted',
    [open(), credit(MAX)],
    giveBack(1),
    [{ type: 'wallet.credit.declined', data: { refund_id: REFUND_ID, reason: 'balance_too_large' } }],
  ],
  ['a refund without a wallet', [], giveBack(1), [declined('wallet.credit.declined', 'wallet_not_found', 0)]],
  [
    'a repeated payment that was not seen',
    [open(), credit(500)],
    pay(200, { attempt: 2 }),
    [moved('wallet.debited', 200, 500, 300)],
  ],
  ['a first request that is too old', [open(), credit(500)], pay(200, { requestedAt: NOW - 5_001 }), []],
  [
    'a first request that is old',
    [open(), credit(500)],
    pay(200, { requestedAt: NOW - 5_000 }),
    [moved('wallet.debited', 200, 500, 300)],
  ],
  [
    'a repeated request is never too old',
    [open(), credit(500)],
    pay(200, { attempt: 2, requestedAt: NOW - 60_000 }),
    [moved('wallet.debited', 200, 500, 300)],
  ],
  ['a wallet that was asked for before it was opened', [pay(1)], open(), [{ type: 'wallet.opened' }]],
];

for (const [name, before, command, expected] of CASES) {
  test(name, () => {
    const decided = given(decider, history(...before)).when(command);
    if (typeof expected === 'string') decided.thenRefused(expected);
    else decided.thenEvents(...expected);
  });
}

test('a repeated request is answered once', () => {
  const events = history(open(), credit(500), pay(200));
  given(decider, events)
    .when(pay(200, { attempt: 2 }), { answered: true })
    .thenNothing();
});

test('movements that are not in the order of their value dates are noticed', () => {
  const on = (day: number) => credit(1, { effectiveAt: Date.UTC(2026, 0, day) });
  assert.equal(given(decider, history(open(), on(1), on(1), on(3))).state.backdated, false);
  const { backdated, lastEffectiveAt } = given(decider, history(open(), on(1), on(3), on(2), on(4))).state;
  assert.deepEqual([backdated, lastEffectiveAt], [true, Date.UTC(2026, 0, 4)]);
});

test('a movement that does not start from the balance is a defect', () => {
  const events = history(open(), credit(500));
  assert.throws(() => events.concat(events[1] ?? []).reduce(decider.evolve, decider.initial), {
    name: 'InvariantError',
  });
});

test('the balance stays between the limits and is the sum of the movements, whatever is asked', () => {
  const amount = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.constantFrom(MAX, MAX - 1));
  const command = fc.tuple(fc.constantFrom(credit, debit, pay, giveBack), amount).map(([make, minor]) => make(minor));
  const limit = fc.constantFrom(0, 100, MAX);
  fc.assert(
    fc.property(limit, fc.array(command, { maxLength: 40 }), (overdraft, commands) => {
      let state = history(open(overdraft)).reduce(decider.evolve, decider.initial);
      let sum = 0n;
      for (const next of commands) {
        const result = decider.decide(next, state, { now: NOW });
        for (const event of result.ok ? result.value : []) {
          sum += signedAmount(event);
          state = decider.evolve(state, event);
        }
        assert.equal(BigInt(state.balanceMinor), sum);
        assert.ok(state.balanceMinor >= -overdraft && state.balanceMinor <= MAX);
      }
    }),
  );
});

function signedAmount({ type, data }: NewEvent): bigint {
  const amount = 'amount_minor' in data ? BigInt(data.amount_minor as number) : 0n;
  return type === 'wallet.credited' ? amount : type === 'wallet.debited' ? -amount : 0n;
}
