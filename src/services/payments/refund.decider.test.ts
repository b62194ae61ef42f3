import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { given, NOW } from '../../../tests/support/given.ts';
import {
  asks,
  type Case,
  charged,
  chargeSent,
  createPayment,
  creditDeclined,
  credited,
  deadlinePassed,
  debited,
  fraudApproved,
  fraudDeclined,
  history,
  paymentDecider,
  refundId,
  testCases,
} from '../../../tests/support/payments.ts';
import { createPaymentDecider, type PaymentCommand, type PaymentState } from './decider.ts';
import { DEFAULT_PAYMENT_SETTINGS } from './payment.decider.ts';
import { refundableMinor } from './refund.decider.ts';

const retry: PaymentCommand = { type: 'RetryStep' };
const pending = [createPayment('wallet'), fraudApproved];
const approved = [...pending, debited];
const card = [createPayment('credit_card'), fraudApproved, chargeSent, charged];

function refund(n: number, amountMinor?: number): PaymentCommand {
  return { type: 'RequestRefund', refundId: refundId(n), reason: 'broken', ...(amountMinor && { amountMinor }) };
}

const forPurchase = (n: number, amountMinor: number): PaymentCommand => ({
  type: 'RefundPurchase',
  refundId: refundId(n),
  amountMinor,
  reason: 'broken',
});

const promised = (n: number, amountMinor: number) =>
  asks('payments.refund.requested', { refund_id: refundId(n), amount_minor: amountMinor, reason: 'broken' });
const credit = (n: number, amountMinor: number, attempt = 1) =>
  asks('wallet.credit.requested', { refund_id: refundId(n), amount_minor: amountMinor, reason: 'refund', attempt });
const gatewayRefund = (n: number, attempt = 1) =>
  asks('gateway.refund.requested', { idempotency_key: `refund-${refundId(n)}`, reason: 'refund', attempt });
const made = (n: number, status: string, refunded_minor: number) =>
  asks('payments.refunded', { refund_id: refundId(n), status, refunded_minor });
const failed = (n: number, error: string) => asks('payments.refund.failed', { refund_id: refundId(n), error });

const CASES: readonly Case[] = [
  ['all is refunded when no amount is given', approved, refund(1), 0, [promised(1, 10_050), credit(1, 10_050)]],
  ['a part is refunded', approved, refund(1, 50), 0, [promised(1, 50), credit(1, 50)]],
  ['the rest is refunded', [...approved, refund(1, 50)], refund(2), 0, [promised(2, 10_000), credit(2, 10_000)]],
  ['a card is refunded by its gateway', card, refund(1, 50), 0, [promised(1, 50), gatewayRefund(1)]],
  ['the same refund again', [...approved, refund(1, 50)], refund(1, 50), 0, []],

  ['a purchase gives back a part', approved, forPurchase(1, 50), 0, [promised(1, 50), credit(1, 50)]],
  ['a purchase asks again', [...approved, forPurchase(1, 50)], forPurchase(1, 50), 0, []],
  [
    'a purchase asks for more than others have left of it',
    [...approved, refund(1, 10_000)],
    forPurchase(2, 10_050),
    0,
    [promised(2, 50), credit(2, 50)],
  ],
  ['a purchase asks for what others have taken', [...approved, refund(1)], forPurchase(2, 10_050), 0, []],
  ['a purchase asks for what was never taken', pending, forPurchase(1, 50), 0, []],

  ['more than was taken', approved, refund(1, 10_051), 0, 'refund_exceeds_payment'],
  ['more than is left', [...approved, refund(1, 10_000)], refund(2, 51), 0, 'refund_exceeds_payment'],
  ['nothing is left', [...approved, refund(1), credited(refundId(1))], refund(2), 0, 'refund_exceeds_payment'],
  ['less than nothing', approved, refund(1, -5), 0, 'amount_not_positive'],
  ['part of a cent', approved, refund(1, 0.5), 0, 'amount_not_positive'],
  ['a pending payment', pending, refund(1, 50), 0, 'payment_not_refundable'],
  ['a declined payment', [createPayment('wallet'), fraudDeclined], refund(1, 50), 0, 'payment_not_refundable'],
  ['no payment', [], refund(1, 50), 0, 'payment_not_found'],

  ['a part is given back', [...approved, refund(1, 50)], credited(refundId(1)), 0, [made(1, 'PARTIALLY_REFUNDED', 50)]],
  ['all is given back', [...approved, refund(1)], credited(refundId(1)), 0, [made(1, 'REFUNDED', 10_050)]],
  [
    'the last part is given back',
    [...approved, refund(1, 50), credited(refundId(1)), refund(2)],
    credited(refundId(2)),
    0,
    [made(2, 'REFUNDED', 10_050)],
  ],
  ['it is given back once', [...approved, refund(1), credited(refundId(1))], credited(refundId(1)), 0, []],
  ['it is declined', [...approved, refund(1)], creditDeclined(refundId(1)), 0, [failed(1, 'balance_too_large')]],
  ['it is declined once', [...approved, refund(1), creditDeclined(refundId(1))], creditDeclined(refundId(1)), 0, []],
  ['a no after a yes', [...approved, refund(1), credited(refundId(1))], creditDeclined(refundId(1)), 0, []],
  [
    'what failed can be refunded again',
    [...approved, refund(1), creditDeclined(refundId(1))],
    refund(2),
    0,
    [promised(2, 10_050), credit(2, 10_050)],
  ],
  [
    'a gateway made a refund after all',
    [...card, refund(1, 50), creditDeclined(refundId(1))],
    credited(refundId(1)),
    0,
    [promised(1, 50), made(1, 'PARTIALLY_REFUNDED', 50)],
  ],
  ['an answer for no refund', approved, credited(refundId(1)), 0, []],

  ['a refund is not overdue yet', [...approved, refund(1, 50)], deadlinePassed, 4_999, []],
  ['a refund is overdue', [...approved, refund(1, 50)], deadlinePassed, 5_000, [credit(1, 50, 2)]],
  ['only what is overdue', [...approved, refund(1, 50), [refund(2, 60), 1]], deadlinePassed, 5_000, [credit(1, 50, 2)]],
  ['a gateway has longer', [...card, refund(1, 50)], deadlinePassed, 30_000, [gatewayRefund(1, 2)]],
  ['an operator retries a refund', [...card, refund(1, 50)], retry, 0, [gatewayRefund(1, 2)]],
  [
    'a refund that is made has no deadline',
    [...approved, refund(1), credited(refundId(1))],
    retry,
    0,
    'saga_not_stuck',
  ],
];

testCases(CASES);

test('a repeated request says when the first one was made', () => {
  const { events } = given(paymentDecider, history(...approved, refund(1, 50))).when(deadlinePassed, {
    now: NOW + 5_000,
  });
  assert.partialDeepStrictEqual(events[0]?.data, {
    requested_at: '2026-11-22T10:00:05.000Z',
    first_requested_at: '2026-11-22T10:00:00.000Z',
  });
});

test('a gateway that made a refund twice over is not believed in silence', () => {
  const events = history(...card, refund(1), creditDeclined(refundId(1)), refund(2));
  const { when } = given(paymentDecider, events);
  assert.throws(() => when(credited(refundId(1))), { name: 'InvariantError' });
});

test('a payment takes a limited number of refunds', () => {
  const decider = createPaymentDecider({ ...DEFAULT_PAYMENT_SETTINGS, maxRefundsPerPayment: 2 });
  given(decider, history(...approved, refund(1, 50), refund(2, 50)))
    .when(refund(3, 50))
    .thenRefused('payment_not_refundable');
});

test('refunds that are made or under way never exceed the payment, whatever is asked and answered', () => {
  const ids = fc.nat(6);
  const command = fc.oneof(
    fc.tuple(ids, fc.integer({ min: 1, max: 6_000 })).map(([n, amount]) => refund(n, amount)),
    ids.map((n) => credited(refundId(n))),
    ids.map((n) => creditDeclined(refundId(n))),
    fc.constant(deadlinePassed),
  );
  fc.assert(fc.property(fc.array(command, { maxLength: 40 }), check));
});

function check(commands: readonly PaymentCommand[]): void {
  let state = history(...approved).reduce(paymentDecider.evolve, paymentDecider.initial);
  let paid = 0;
  for (const [i, command] of commands.entries()) {
    if (isLateYes(command, state)) continue;
    const result = paymentDecider.decide(command, state, { now: NOW + i * 1000 });
    for (const event of result.ok ? result.value : []) {
      if (event.type === 'payments.refunded') paid += event.data.amount_minor;
      state = paymentDecider.evolve(state, event);
    }
  }
  const { payment } = state;
  assert.equal(payment.refundedMinor, paid);
  assert.equal(refundableMinor(payment), 10_050 - paid - payment.refundPendingMinor);
  assert.ok(refundableMinor(payment) >= 0);
  assert.equal(payment.status === 'REFUNDED', paid === 10_050);
}

/** A wallet's no is final. */
function isLateYes(command: PaymentCommand, { payment }: PaymentState): boolean {
  if (command.type !== 'RefundAnswered' || command.outcome === 'declined') return false;
  return payment.refunds[command.refundId]?.status === 'FAILED';
}
