import type { Decider } from '#kernel/core/decider.ts';
import type { Result } from '#kernel/core/result.ts';
import { accept, refuse } from '#kernel/core/result.ts';
import { PAYMENT } from './contract.ts';
import {
  type CreatePayment,
  createPayment,
  evolvePayment,
  NO_PAYMENT,
  type Payment,
  type PaymentEvent,
  type PaymentSettings,
} from './payment.decider.ts';
import {
  answerRefund,
  askAgainForRefunds,
  evolveRefunds,
  type RefundAnswered,
  type RefundPurchase,
  type RequestRefund,
  refundPurchase,
  requestRefund,
} from './refund.decider.ts';
import { answerCompensation, decideSaga, giveUp, retryStep, type SagaCommand, stepOverdue } from './saga.decider.ts';
import { evolveSaga, NO_SAGA, type Saga } from './saga.ts';

/** The state of a payment's stream: the payment with its refunds, and the saga that carries it. */
export interface PaymentState {
  readonly payment: Payment;
  readonly saga: Saga;
}

/**
 * What a payment can be told: by clients (`CreatePayment`, `RequestRefund`), by purchases (`CreatePayment`, `RefundPurchase`), by operators (`RetryStep`, `Compensate`), by
 * the sweeper of deadlines (`DeadlinePassed`), and by the messages of other services.
 */
export type PaymentCommand =
  | CreatePayment
  | RequestRefund
  | RefundPurchase
  | RefundAnswered
  | SagaCommand
  | { readonly type: 'DeadlinePassed' }
  | { readonly type: 'RetryStep' }
  | { readonly type: 'Compensate' };

type Decision = Result<readonly PaymentEvent[]>;

/**
 * The aggregate of payments. Refusals: `payment_not_found`, `payment_not_refundable`, `refund_exceeds_payment`,
 * `amount_not_positive`, `saga_not_found`, `saga_not_stuck`. Throws InvariantError where money would not add up.
 */
export function createPaymentDecider(settings: PaymentSettings): Decider<PaymentState, PaymentCommand, PaymentEvent> {
  return {
    aggregate: PAYMENT,
    stateVersion: 1,
    initial: { payment: NO_PAYMENT, saga: NO_SAGA },
    evolve: ({ payment, saga }, event) => ({
      payment: evolveRefunds(evolvePayment(payment, event), event, settings),
      saga: evolveSaga(saga, event, settings),
    }),
    settled: ({ payment, saga }) => payment.id !== '' && saga.deadlineAt === null && payment.refundPendingMinor === 0,
    decide: (command, state, { now }) => decide(command, state, now, settings),
  };
}

function decide(
  command: PaymentCommand,
  { payment, saga }: PaymentState,
  now: number,
  settings: PaymentSettings,
): Decision {
  switch (command.type) {
    case 'CreatePayment':
      return createPayment(command, payment, now);
    case 'RequestRefund':
      return requestRefund(command, payment, now, settings);
    case 'RefundPurchase':
      return refundPurchase(command, payment, now, settings);
    case 'RefundAnswered':
      if (command.refundId === saga.compensation?.refundId)
        return accept(answerCompensation(command, payment, saga, now));
      return answerRefund(command, payment, now);
    case 'DeadlinePassed':
      return accept([...stepOverdue(payment, saga, now, settings), ...askAgainForRefunds(payment, now, 'overdue')]);
    case 'RetryStep':
      return retry(payment, saga, now);
    case 'Compensate':
      return payment.id === '' ? notFound() : giveUp(payment, saga, now);
    default:
      return accept(decideSaga(command, payment, saga, now));
  }
}

function retry(payment: Payment, saga: Saga, now: number): Decision {
  if (payment.id === '') return notFound();
  const events = [...retryStep(payment, saga, now), ...askAgainForRefunds(payment, now, 'all')];
  if (events.length > 0) return accept(events);
  return refuse('saga_not_stuck', `the saga is ${saga.state} and no refund is under way: there is nothing to retry`);
}

function notFound(): Decision {
  return refuse('saga_not_found', 'there is no such payment');
}
