import assert from 'node:assert/strict';
import { test } from 'node:test';
import { given, NOW } from '../../../tests/support/given.ts';
import {
  advanced,
  answered,
  asks,
  type Case,
  charged,
  chargeSent,
  createPayment,
  creditDeclined,
  credited,
  deadlinePassed,
  debitDeclined,
  debited,
  ended,
  fraudApproved,
  fraudDeclined,
  history,
  PAYMENT_ID,
  paymentDecider,
  type Step,
  testCases,
  timedOut,
} from '../../../tests/support/payments.ts';
import type { PaymentCommand } from './decider.ts';
import { compensationIdOf } from './saga.decider.ts';

const DAY = 86_400_000;
const retry: PaymentCommand = { type: 'RetryStep' };
const giveUp: PaymentCommand = { type: 'Compensate' };
const wallet = createPayment('wallet');
const debiting = [wallet, fraudApproved];
const approved = [...debiting, debited];
const atGateway = [createPayment('credit_card'), fraudApproved];
const awaiting = [...atGateway, chargeSent];
const unknown = [...awaiting, timedOut(60_000)];

const overdue: readonly Step[] = [
  [deadlinePassed, 5_000],
  [deadlinePassed, 15_000],
];
const failed: readonly Step[] = [...debiting, ...overdue, [deadlinePassed, 35_000]];
const compensating: readonly Step[] = [...failed, [debited, 36_000]];
const first = compensationIdOf(PAYMENT_ID, 1);
const second = compensationIdOf(PAYMENT_ID, 2);

const debitAgain = asks('wallet.debit.requested', {
  attempt: 2,
  requested_at: '2026-11-22T10:00:05.000Z',
  first_requested_at: '2026-11-22T10:00:00.000Z',
});
const chargeAgain = asks('gateway.charge.requested', { idempotency_key: `charge-${PAYMENT_ID}`, attempt: 2 });
const givesBack = (attempt: number, refundId = first) =>
  asks('wallet.credit.requested', { refund_id: refundId, reason: 'compensation', amount_minor: 10_050, attempt });
const cardGivesBack = asks('gateway.refund.requested', { refund_id: first, reason: 'compensation', attempt: 1 });

const DEADLINES: readonly Case[] = [
  ['nothing is overdue yet', [wallet], deadlinePassed, 4_999, []],
  [
    'the fraud check is overdue',
    [wallet],
    deadlinePassed,
    5_000,
    [advanced('CHECKING_FRAUD', 2, 'fraud_check_not_answered')],
  ],
  [
    'the fraud check is given up',
    [wallet, ...overdue],
    deadlinePassed,
    35_000,
    [ended('failed', 'fraud_check_timeout')],
  ],
  ['the debit is overdue', debiting, deadlinePassed, 5_000, [debitAgain]],
  ['the second wait is longer', [...debiting, [deadlinePassed, 5_000]], deadlinePassed, 14_999, []],
  ['the debit is given up', [...debiting, ...overdue], deadlinePassed, 35_000, [ended('failed', 'wallet_timeout')]],
  ['the first debit answers late', [...debiting, ...overdue], debited, 16_000, [ended('approved', 'success')]],
  [
    'a charge that is not answered is never given up',
    awaiting,
    deadlinePassed,
    DAY,
    [advanced('AWAITING_RESPONSE', 2, 'charge_not_answered')],
  ],
  [
    'a charge that is not sent is never given up',
    atGateway,
    deadlinePassed,
    DAY,
    [advanced('SENDING_TO_GATEWAY', 2, 'charge_not_answered')],
  ],
  [
    'what is known of a charge stays known',
    unknown,
    deadlinePassed,
    90_000,
    [advanced('AWAITING_RESPONSE', 2, 'timeout', { next_attempt_at: '2026-11-22T10:01:00.000Z' })],
  ],
  ['an approved payment has no deadline', approved, deadlinePassed, DAY, []],
];

const COMPENSATION: readonly Case[] = [
  ['a debit after the end is given back', failed, debited, 36_000, [givesBack(1)]],
  ['a debit after the end is given back once', compensating, debited, 36_000, []],
  ['a no to a debit after the end', failed, debitDeclined, 36_000, []],
  [
    'a charge after the end is given back',
    [...awaiting, answered('FAILED', 'down', 'gateway')],
    charged,
    0,
    [cardGivesBack],
  ],
  ['a charge after a no is given back', [...awaiting, answered('FAILED', 'stolen')], charged, 0, [cardGivesBack]],
  ['it is credited', compensating, credited(first), 37_000, [advanced('COMPENSATED', 1, 'given_back')]],
  ['it is credited once', [...compensating, credited(first)], credited(first), 37_000, []],
  ['a debit after it', [...compensating, credited(first)], debited, 37_000, []],
  ['it is not answered', compensating, deadlinePassed, 41_000, [givesBack(2)]],
  ['it is declined', compensating, creditDeclined(first), 37_000, [advanced('COMPENSATING', 1, 'balance_too_large')]],
  ['it is declined once', [...compensating, creditDeclined(first)], creditDeclined(first), 37_000, []],
  [
    'it is tried again under a new id',
    [...compensating, [creditDeclined(first), 37_000]],
    deadlinePassed,
    67_000,
    [givesBack(1, second)],
  ],
];

const OPERATORS: readonly Case[] = [
  ['retry the fraud check', [wallet], retry, 0, [advanced('CHECKING_FRAUD', 2, 'fraud_check_not_answered')]],
  ['retry the debit', debiting, retry, 5_000, [debitAgain]],
  ['retry the charge', unknown, retry, 0, [chargeAgain]],
  ['retry the compensation', compensating, retry, 37_000, [givesBack(2)]],
  ['retry what is over', approved, retry, 0, 'saga_not_stuck'],
  ['retry nothing', [], retry, 0, 'saga_not_found'],
  ['give up the fraud check', [wallet], giveUp, 0, [ended('failed', 'operator_compensated')]],
  ['give up the debit', debiting, giveUp, 0, [ended('failed', 'operator_compensated')]],
  ['a debit that was given up is given back', [...debiting, giveUp], debited, 0, [givesBack(1)]],
  ['a charge cannot be given up', unknown, giveUp, 0, 'saga_not_stuck'],
  ['push the compensation', compensating, giveUp, 37_000, [givesBack(2)]],
  ['an approved payment is not given up', approved, giveUp, 0, 'saga_not_stuck'],
  ['give up nothing', [], giveUp, 0, 'saga_not_found'],
];

testCases([...DEADLINES, ...COMPENSATION, ...OPERATORS]);

/** State, attempt, ms from NOW to the deadline, and why it is stuck. */
function standing(...steps: readonly Step[]) {
  const { state, attempt, deadlineAt, stuckReason } = given(paymentDecider, history(...steps)).state.saga;
  return [state, attempt, deadlineAt === null ? null : deadlineAt - NOW, stuckReason];
}

test('the saga says where it stands, how long it waits and why', () => {
  assert.deepEqual(standing(wallet), ['CHECKING_FRAUD', 1, 5_000, null]);
  assert.deepEqual(standing(...debiting), ['DEBITING', 1, 5_000, null]);
  assert.deepEqual(standing(...debiting, ...overdue), ['DEBITING', 3, 35_000, 'debit_not_answered']);
  assert.deepEqual(standing(...approved), ['COMPLETED', 1, null, null]);
  assert.deepEqual(standing(wallet, fraudDeclined), ['FAILED', 1, null, null]);
  assert.deepEqual(standing(...atGateway), ['SENDING_TO_GATEWAY', 1, 30_000, null]);
  assert.deepEqual(standing(...awaiting), ['AWAITING_RESPONSE', 1, 30_000, null]);
  assert.deepEqual(standing(...unknown), ['AWAITING_RESPONSE', 1, 90_000, 'timeout']);
  assert.deepEqual(standing(...unknown, [retry, 60_000]), ['AWAITING_RESPONSE', 2, 120_000, 'timeout']);
  assert.deepEqual(standing(...compensating), ['COMPENSATING', 1, 41_000, null]);
  assert.deepEqual(standing(...compensating, creditDeclined(first)), ['COMPENSATING', 1, 30_000, 'balance_too_large']);
  assert.deepEqual(standing(...compensating, creditDeclined(first), [retry, 40_000]), [
    'COMPENSATING',
    1,
    45_000,
    'balance_too_large',
  ]);
  assert.deepEqual(standing(...compensating, credited(first)), ['COMPENSATED', 1, null, null]);
});

test('waits grow up to ten minutes', () => {
  const days = Array.from({ length: 20 }, (_, i) => [deadlinePassed, (i + 1) * DAY] as const);
  assert.deepEqual(standing(...awaiting, ...days), [
    'AWAITING_RESPONSE',
    21,
    20 * DAY + 600_000,
    'charge_not_answered',
  ]);
});
