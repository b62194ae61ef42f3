import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NOW } from '../../../tests/support/given.ts';
import { recorded } from '../../../tests/support/recorded.ts';
import { walletIdOf } from './contract.ts';
import { DEFAULT_WALLET_SETTINGS } from './decider.ts';
import { walletsService } from './index.ts';
import { LEDGER_EVENTS } from './ledger.ts';

const service = walletsService(DEFAULT_WALLET_SETTINGS);
const PAYMENT_ID = '019aaf00-0000-7000-8000-000000000001';
const REFUND_ID = '019aaf00-0000-7000-9000-000000000001';
const WALLET_ID = walletIdOf('customer-1');

const request = {
  payment_id: PAYMENT_ID,
  user_id: 'customer-1',
  amount_minor: 500,
  currency: 'USD',
  trace_id: 'a'.repeat(32),
  requested_at: '2026-11-22T10:00:05.000Z',
};
const repeated = { ...request, attempt: 2, first_requested_at: '2026-11-22T10:00:00.000Z' };

function reactionTo(type: string, data: object) {
  const [event] = recorded('payment', PAYMENT_ID, [{ type, data }]);
  assert.ok(event !== undefined);
  const reactions = service.reactions[type]?.(event);
  assert.equal(reactions?.length, 1);
  return reactions[0];
}

function inWallet(type: string, data: object) {
  const [event] = recorded('wallet', WALLET_ID, [{ type, data }]);
  assert.ok(event !== undefined);
  return event;
}

test('a first request is decided without looking back, unless its message is tried again', () => {
  const reaction = reactionTo('wallet.debit.requested', request);
  assert.deepEqual([reaction?.aggregate, reaction?.id, reaction?.lookBack?.repeated], ['wallet', WALLET_ID, false]);
  assert.partialDeepStrictEqual(reaction?.command, { type: 'DebitForPayment', attempt: 1, requestedAt: NOW + 5_000 });
});

test('a repeated debit looks for the answer to an earlier one', () => {
  const { repeated: again, isAnswer } = reactionTo('wallet.debit.requested', repeated)?.lookBack ?? {};
  assert.equal(again, true);
  const found = (type: string, data: object) => isAnswer?.(inWallet(type, data));
  assert.equal(found('wallet.debited', { payment_id: PAYMENT_ID }), true);
  assert.equal(found('wallet.debit.declined', { payment_id: PAYMENT_ID }), true);
  assert.equal(found('wallet.credited', { payment_id: PAYMENT_ID, refund_id: REFUND_ID }), false);
  assert.equal(found('wallet.debited', { payment_id: REFUND_ID }), false);
});

test('a repeated credit looks for the answer to the same refund', () => {
  const data = { ...repeated, refund_id: REFUND_ID, reason: 'refund' };
  const { isAnswer } = reactionTo('wallet.credit.requested', data)?.lookBack ?? {};
  const found = (type: string, refund_id?: string) => isAnswer?.(inWallet(type, { payment_id: PAYMENT_ID, refund_id }));
  assert.equal(found('wallet.credited', REFUND_ID), true);
  assert.equal(found('wallet.credit.declined', REFUND_ID), true);
  assert.equal(found('wallet.credited', PAYMENT_ID), false);
  assert.equal(found('wallet.debited'), false);
});

test('every event of the ledger is either produced here or consumed', () => {
  const known = [...service.produces.map(({ type }) => type), ...Object.keys(service.reactions)];
  assert.deepEqual(
    LEDGER_EVENTS.filter((type) => !known.includes(type)),
    [],
  );
});
