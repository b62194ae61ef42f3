import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { uuidFloor } from '#kernel/core/ids.ts';
import type { Page } from '#kernel/core/page.ts';
import { migrate } from '#kernel/postgres/migrator.ts';
import type { Pool } from '#kernel/postgres/pool.ts';
import { PAYMENT } from '#services/payments/contract.ts';
import type { PaymentCommand } from '#services/payments/decider.ts';
import { DEFAULT_PAYMENT_SETTINGS } from '#services/payments/payment.decider.ts';
import { createRefundProjection, createSagaProjection, type SagaRow } from '#services/payments/projections.ts';
import {
  countStuckSagas,
  dueSagas,
  findPayment,
  listPayments,
  listRefunds,
  listSagas,
} from '#services/payments/queries.ts';
import { openPostgres } from '../support/backends.ts';
import { NOW } from '../support/given.ts';
import {
  charged,
  chargeSent,
  createPayment,
  credited,
  deadlinePassed,
  debited,
  fraudApproved,
  fraudDeclined,
  history,
  refundId,
  type Step,
  timedOut,
} from '../support/payments.ts';
import { recorded } from '../support/recorded.ts';
import { rowsOf } from '../support/rows.ts';

const MIGRATIONS = join(import.meta.dirname, '../../src/services/payments/migrations');
const HOUR = 3_600_000;
const wallet = createPayment('wallet');
const card = createPayment('credit_card');

function refund(n: number): PaymentCommand {
  return { type: 'RequestRefund', refundId: refundId(n), amountMinor: 50, reason: 'broken' };
}

/** By the hour of their ids: what happened to them. All but the fourth are of customer-1. */
const PAYMENTS: readonly (readonly Step[])[] = [
  [wallet],
  [wallet, fraudDeclined],
  [wallet, fraudApproved, [deadlinePassed, 5_000]],
  [{ ...card, customerId: 'customer-2' }, fraudApproved, chargeSent, timedOut(60_000)],
  [wallet, fraudApproved, debited, refund(1), credited(refundId(1)), [refund(2), 1]],
  [card, fraudApproved, chargeSent, charged],
];

function idOf(hour: number): string {
  return uuidFloor(NOW + hour * HOUR);
}

/** A database with the read models of these payments. */
async function openReadModels(t: TestContext): Promise<Pool> {
  const { pool, store } = await openPostgres(t);
  await migrate(pool, [{ scope: 'payments', directory: MIGRATIONS }]);
  const events = PAYMENTS.flatMap(([create, ...steps], hour) => {
    const created = { ...(create as PaymentCommand), paymentId: idOf(hour) } as Step;
    return recorded(PAYMENT, idOf(hour), history(created, ...steps));
  });
  const sagas = rowsOf(createSagaProjection(DEFAULT_PAYMENT_SETTINGS), events);
  const refunds = rowsOf(createRefundProjection(DEFAULT_PAYMENT_SETTINGS), events);
  const writer = await store.openWriter('test');
  await writer.commit({ appends: [], rows: [sagas, refunds] });
  await writer.close();
  return pool;
}

const hoursOf = (page: Page<SagaRow>) =>
  page.data.map(({ payment_id }) => PAYMENTS.findIndex((_, i) => idOf(i) === payment_id));

test('payments and their sagas are found as they were decided', async (t) => {
  const sql = await openReadModels(t);

  await t.test('one payment', async () => {
    const row = await findPayment(sql, idOf(3));
    assert.partialDeepStrictEqual(row, { status: 'PENDING', saga_state: 'AWAITING_RESPONSE', amount_minor: 10_050 });
    assert.deepEqual([row?.next_attempt_at, row?.deadline_at], [NOW + 60_000, NOW + 90_000]);
    assert.deepEqual([row?.stuck_reason, row?.completed_at], ['timeout', null]);
    assert.equal(await findPayment(sql, idOf(99)), undefined);
  });

  await t.test('payments, newest first, by what they are', async () => {
    assert.deepEqual(hoursOf(await listPayments(sql, { limit: 10 })), [5, 4, 3, 2, 1, 0]);
    assert.deepEqual(hoursOf(await listPayments(sql, { limit: 10, customerId: 'customer-2' })), [3]);
    assert.deepEqual(hoursOf(await listPayments(sql, { limit: 10, status: 'PENDING' })), [3, 2, 0]);
    assert.deepEqual(hoursOf(await listPayments(sql, { limit: 10, status: 'DECLINED' })), [1]);
    assert.deepEqual(hoursOf(await listPayments(sql, { limit: 10, method: 'credit_card' })), [5, 3]);
    const between = { from: NOW + HOUR, to: NOW + 3 * HOUR };
    assert.deepEqual(hoursOf(await listPayments(sql, { limit: 10, ...between })), [2, 1]);
  });

  await t.test('payments by pages', async () => {
    const first = await listPayments(sql, { limit: 4 });
    assert.deepEqual([hoursOf(first), first.nextCursor], [[5, 4, 3, 2], idOf(2)]);
    const second = await listPayments(sql, { limit: 4, cursor: idOf(2) });
    assert.deepEqual([hoursOf(second), second.nextCursor], [[1, 0], null]);
  });

  await t.test('the refunds of a payment', async () => {
    const [made, pending, ...others] = await listRefunds(sql, idOf(4));
    assert.partialDeepStrictEqual(made, { refund_id: refundId(1), status: 'SUCCEEDED', deadline_at: null });
    assert.partialDeepStrictEqual(pending, { refund_id: refundId(2), status: 'PENDING', amount_minor: 50 });
    assert.deepEqual(others, []);
    assert.deepEqual(await listRefunds(sql, idOf(0)), []);
  });

  await t.test('what is past its deadline, the longest first', async () => {
    assert.deepEqual(await dueSagas(sql, NOW + 4_999, 10), []);
    assert.deepEqual(await dueSagas(sql, NOW + 5_000, 10), [idOf(0)]);
    assert.deepEqual(await dueSagas(sql, NOW + 100_000, 10), [idOf(0), idOf(4), idOf(2), idOf(3)]);
    assert.deepEqual(await dueSagas(sql, NOW + 100_000, 2), [idOf(0), idOf(4)]);
  });

  await t.test('sagas by state', async () => {
    assert.deepEqual(hoursOf(await listSagas(sql, { now: NOW, limit: 10 })), [5, 4, 3, 2, 1, 0]);
    assert.deepEqual(hoursOf(await listSagas(sql, { now: NOW, limit: 10, state: 'COMPLETED' })), [5, 4]);
    assert.deepEqual(hoursOf(await listSagas(sql, { now: NOW, limit: 10, state: 'DEBITING' })), [2]);
    assert.deepEqual(hoursOf(await listSagas(sql, { now: NOW, limit: 1, cursor: idOf(2) })), [1]);
  });

  await t.test('sagas that are stuck, and why', async () => {
    const stuckAt = async (now: number) => {
      const page = await listSagas(sql, { stuck: true, now, limit: 10 });
      assert.equal(await countStuckSagas(sql, now), page.data.length);
      return page.data.map(({ stuck_reason }, i) => [hoursOf(page)[i], stuck_reason]);
    };
    const known = [
      [3, 'timeout'],
      [2, 'debit_not_answered'],
    ];
    assert.deepEqual(await stuckAt(NOW), known);
    assert.deepEqual(await stuckAt(NOW + 5_001), [[4, 'refund_not_answered'], ...known, [0, 'deadline_passed']]);
    const debiting = await listSagas(sql, { stuck: true, state: 'DEBITING', now: NOW, limit: 10 });
    assert.deepEqual(hoursOf(debiting), [2]);
  });
});
