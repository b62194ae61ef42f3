import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { RowProjection } from '#kernel/core/projection.ts';
import type { Row } from '#kernel/core/table.ts';
import { NOW } from '../../../tests/support/given.ts';
import {
  charged,
  chargeSent,
  createPayment,
  creditDeclined,
  credited,
  deadlinePassed,
  debitDeclined,
  debited,
  fraudApproved,
  history,
  PAYMENT_ID,
  paymentDecider,
  refundId,
  type Step,
  timedOut,
} from '../../../tests/support/payments.ts';
import { recorded } from '../../../tests/support/recorded.ts';
import { PAYMENT } from './contract.ts';
import type { PaymentCommand } from './decider.ts';
import { DEFAULT_PAYMENT_SETTINGS, type PaymentEvent } from './payment.decider.ts';
import { createRefundProjection, createSagaProjection, type RefundRow, type SagaRow } from './projections.ts';
import { compensationIdOf } from './saga.decider.ts';

const sagas = createSagaProjection(DEFAULT_PAYMENT_SETTINGS);
const refunds = createRefundProjection(DEFAULT_PAYMENT_SETTINGS);

/** The rows that a projection makes of one stream, by key. */
function fold<R extends Row>(projection: RowProjection<R>, events: readonly PaymentEvent[]): ReadonlyMap<string, R> {
  const rows = new Map<string, R>();
  for (const event of recorded(PAYMENT, PAYMENT_ID, events)) {
    const key = projection.events.includes(event.type) ? projection.key(event)?.join() : undefined;
    if (key === undefined) continue;
    const row = projection.evolve(projection.startsRow(event) ? undefined : rows.get(key), event);
    assert.deepEqual(Object.keys(row).sort(), Object.keys(projection.table.columns).sort());
    rows.set(key, row);
  }
  return rows;
}

test('a payment becomes a row, without its card token', () => {
  const create = { ...createPayment('credit_card'), paymentToken: 'tok_visa', metadata: { order: '7' } };
  const row = fold(sagas, history(create)).get(PAYMENT_ID);
  assert.partialDeepStrictEqual(row, {
    customer_id: 'customer-1',
    amount_minor: 10_050,
    status: 'PENDING',
    version: 1,
  });
  assert.deepEqual([row?.saga_state, row?.deadline_at, row?.metadata], ['CHECKING_FRAUD', NOW + 5_000, { order: '7' }]);
  assert.ok(!JSON.stringify(row).includes('tok_visa'));
});

test('a row that is over waits for nothing', () => {
  const row = fold(sagas, history(createPayment('wallet'), fraudApproved, [debited, 7])).get(PAYMENT_ID);
  assert.partialDeepStrictEqual(row, { status: 'APPROVED', reason: 'success', saga_state: 'COMPLETED', version: 3 });
  assert.deepEqual([row?.deadline_at, row?.stuck_reason, row?.completed_at], [null, null, NOW + 7]);
});

const anything: readonly PaymentCommand[] = [
  fraudApproved,
  debited,
  debitDeclined,
  chargeSent,
  charged,
  timedOut(60_000),
  deadlinePassed,
  { type: 'RetryStep' },
  { type: 'Compensate' },
  ...[refundId(1), refundId(2), compensationIdOf(PAYMENT_ID, 1)].flatMap((id) => [credited(id), creditDeclined(id)]),
  { type: 'RequestRefund', refundId: refundId(1), amountMinor: 50, reason: 'broken' },
  { type: 'RequestRefund', refundId: refundId(2), reason: 'broken' },
];

test('the rows say what the decider knows, whatever happened', () => {
  const run = fc.array(fc.tuple(fc.constantFrom(...anything), fc.nat(60_000)), { maxLength: 30 });
  fc.assert(
    fc.property(fc.constantFrom('wallet', 'credit_card'), run, (method, steps) => {
      checkRows(accepted([createPayment(method), ...steps]));
    }),
  );
});

/** What happened when the commands came, without those that are refused or that throw. */
function accepted(steps: readonly Step[]): readonly PaymentEvent[] {
  const taken: Step[] = [];
  for (const step of steps) {
    try {
      history(...taken, step);
      taken.push(step);
    } catch {
      // Refused: it leaves no trace, as in the kernel.
    }
  }
  return history(...taken);
}

function checkRows(events: readonly PaymentEvent[]): void {
  const { payment, saga } = events.reduce(paymentDecider.evolve, paymentDecider.initial);
  const row = fold(sagas, events).get(PAYMENT_ID);
  assert.partialDeepStrictEqual(row, {
    status: payment.status,
    reason: payment.reason,
    completed_at: payment.completedAt,
    refunded_minor: payment.refundedMinor,
    refund_pending_minor: payment.refundPendingMinor,
    saga_state: saga.state,
    attempt: saga.attempt,
    deadline_at: saga.deadlineAt,
    stuck_reason: saga.stuckReason,
    next_attempt_at: saga.nextAttemptAt,
  } satisfies Partial<SagaRow>);
  const refundRows = fold(refunds, events);
  assert.deepEqual([...refundRows.keys()].sort(), Object.keys(payment.refunds).sort());
  for (const [id, { status, amountMinor, attempt, deadlineAt }] of Object.entries(payment.refunds)) {
    const expected = {
      status,
      amount_minor: amountMinor,
      attempt,
      deadline_at: deadlineAt,
    } satisfies Partial<RefundRow>;
    assert.partialDeepStrictEqual(refundRows.get(id), expected);
  }
}
