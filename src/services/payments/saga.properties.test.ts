import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NOW } from '../../../tests/support/given.ts';
import {
  answered,
  charged,
  chargeSent,
  createPayment,
  creditDeclined,
  credited,
  deadlinePassed,
  debitDeclined,
  debited,
  fraudApproved,
  fraudDeclined,
  PAYMENT_ID,
  paymentDecider,
  timedOut,
} from '../../../tests/support/payments.ts';
import type { PaymentCommand } from './decider.ts';
import type { PaymentEvent } from './payment.decider.ts';
import { compensationIdOf } from './saga.decider.ts';

const ENDS = ['payments.approved', 'payments.declined', 'payments.failed'];
const FIRST = compensationIdOf(PAYMENT_ID, 1);
const SECOND = compensationIdOf(PAYMENT_ID, 2);

const always: readonly PaymentCommand[] = [
  fraudApproved,
  fraudDeclined,
  deadlinePassed,
  { type: 'RetryStep' },
  { type: 'Compensate' },
  ...[FIRST, SECOND].flatMap((id) => [credited(id), creditDeclined(id)]),
];
const walletMessages = [...always, debited, debitDeclined];
const cardMessages = [
  ...always,
  chargeSent,
  charged,
  timedOut(60_000),
  answered('FAILED', 'stolen'),
  answered('FAILED', 'down', 'gateway'),
];

type Run = readonly (readonly [command: PaymentCommand, waitMs: number])[];

function anyRun(messages: readonly PaymentCommand[]): fc.Arbitrary<Run> {
  return fc.array(fc.tuple(fc.constantFrom(...messages), fc.nat(60_000)), { maxLength: 30 });
}

test('a wallet payment ends once, whatever comes, however often, in whatever order', () => {
  fc.assert(fc.property(anyRun(walletMessages), (run) => check([[createPayment('wallet'), 0], ...run])));
});

test('a card payment ends once, whatever comes, however often, in whatever order', () => {
  fc.assert(fc.property(anyRun(cardMessages), (run) => check([[createPayment('debit_card'), 0], ...run])));
});

function check(run: Run): void {
  let state = paymentDecider.initial;
  let now = NOW;
  const events: PaymentEvent[] = [];
  for (const [command, wait] of run) {
    now += wait;
    const result = paymentDecider.decide(command, state, { now });
    for (const event of result.ok ? result.value : []) {
      events.push(event);
      state = paymentDecider.evolve(state, event);
    }
  }
  const { status } = state.payment;
  const ends = events.filter(({ type }) => ENDS.includes(type)).length;
  assert.equal(ends, status === 'PENDING' ? 0 : 1, 'one end');
  const taken = run.some(([command]) => command === debited || command === charged);
  assert.ok(status !== 'APPROVED' || taken, 'approved only when the money was taken');
  const over = ['COMPLETED', 'FAILED', 'COMPENSATED'].includes(state.saga.state);
  assert.equal(state.saga.deadlineAt === null, over, 'whatever is open has a deadline');
  checkCompensation(events, status === 'APPROVED');
}

function checkCompensation(events: readonly PaymentEvent[], approved: boolean): void {
  const ids = new Set<string>();
  let declined = 0;
  for (const { type, data } of events) {
    if (type === 'wallet.credit.requested' || type === 'gateway.refund.requested') ids.add(data.refund_id);
    if (type === 'payments.saga.advanced' && data.state === 'COMPENSATING') declined += 1;
  }
  assert.ok(ids.size <= declined + 1, 'money is asked back under a new id only after the one before was declined');
  assert.ok(!approved || ids.size === 0, 'what was approved is not given back');
}
