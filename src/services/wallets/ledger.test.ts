import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recorded } from '../../../tests/support/recorded.ts';
import { WALLET, walletIdOf } from './contract.ts';
import { LEDGER_EVENTS, postings } from './ledger.ts';
import { ledgerAccounts } from './projections.ts';

const wallet_id = walletIdOf('customer-1');
const WALLET_ACCOUNT = `wallet:${wallet_id}`;
const money = { amount_minor: 500, currency: 'USD' };
const payment_id = '019aaf00-0000-7000-8000-000000000001';
const refund_id = '019aaf00-0000-7000-9000-000000000001';

/** The event, and where its money comes from and goes to. */
const ENTRIES: readonly (readonly [name: string, type: string, data: object, from: string, to: string])[] = [
  ['a deposit', 'wallet.credited', { wallet_id, reason: 'deposit' }, 'world', WALLET_ACCOUNT],
  ['a withdrawal', 'wallet.debited', { wallet_id, reason: 'withdrawal' }, WALLET_ACCOUNT, 'world'],
  ['a fee', 'wallet.debited', { wallet_id, reason: 'fee' }, WALLET_ACCOUNT, 'fees'],
  ['a payment', 'wallet.debited', { wallet_id, payment_id, reason: 'success' }, WALLET_ACCOUNT, 'clearing:payments'],
  ['a refund', 'wallet.credited', { wallet_id, payment_id, refund_id }, 'clearing:payments', WALLET_ACCOUNT],
  ['an approval', 'payments.approved', {}, 'clearing:payments', 'merchant:default'],
  ['a promised refund', 'payments.refund.requested', {}, 'merchant:default', 'clearing:payments'],
  ['a failed refund', 'payments.refund.failed', {}, 'clearing:payments', 'merchant:default'],
  ['a charge', 'gateway.charge.answered', { gateway: 'x', status: 'SUCCESS' }, 'gateway:x', 'clearing:payments'],
  ['a card refund', 'gateway.refund.answered', { gateway: 'x', status: 'SUCCESS' }, 'clearing:payments', 'gateway:x'],
];

for (const [name, type, data, from, to] of ENTRIES) {
  test(`${name}: from ${from.split(':')[0]} to ${to.split(':')[0]}`, () => {
    assert.deepEqual(postings({ type, data: { ...money, ...data } }), [
      { account: from, currency: 'USD', amountMinor: -500 },
      { account: to, currency: 'USD', amountMinor: 500 },
    ]);
  });
}

test('every ledger event has an entry', () => {
  assert.deepEqual([...new Set(ENTRIES.map(([, type]) => type))].sort(), [...LEDGER_EVENTS].sort());
});

test('what moves no money has no entry', () => {
  for (const type of ['gateway.charge.answered', 'gateway.refund.answered']) {
    for (const status of ['FAILED', 'INSUFFICIENT_FUNDS', 'TIMEOUT']) {
      assert.deepEqual(postings({ type, data: { ...money, gateway: 'x', status } }), []);
    }
  }
  assert.deepEqual(postings({ type: 'wallet.debit.declined', data: { ...money, payment_id } }), []);
});

test('an entry of no or of negative money is a defect', () => {
  assert.throws(() => postings({ type: 'payments.approved', data: { ...money, amount_minor: -1 } }), /sums to zero/);
});

test('the sums leave out the account of the wallet, whose balance is kept with it', () => {
  const [event] = recorded(WALLET, wallet_id, [
    { type: 'wallet.credited', data: { ...money, wallet_id, reason: 'deposit' } },
  ]);
  assert.ok(event !== undefined);
  assert.deepEqual(ledgerAccounts.increments(event), [
    {
      key: { account: 'world', currency: 'USD' },
      add: { balance_minor: -500, debits_minor: 500, credits_minor: 0, postings: 1 },
    },
  ]);
});
