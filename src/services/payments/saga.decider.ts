import type { EventOf } from '#kernel/core/event.ts';
import { namedUuid } from '#kernel/core/ids.ts';
import { toMajor } from '#kernel/core/money.ts';
import type { Result } from '#kernel/core/result.ts';
import { accept, refuse } from '#kernel/core/result.ts';
import { toTimestamp } from '#kernel/core/timestamp.ts';
import type { SagaState, sagaAdvanced } from './contract.ts';
import type { Payment, PaymentEvent, PaymentSettings } from './payment.decider.ts';
import { giveBack, type RefundAnswered } from './refund.decider.ts';
import { CHARGE_SENT, type Saga, type SagaProgress } from './saga.ts';

/*
 * wallet: CHECKING_FRAUD → DEBITING → COMPLETED | FAILED
 * card:   CHECKING_FRAUD → SENDING_TO_GATEWAY → AWAITING_RESPONSE → COMPLETED | FAILED
 * either: FAILED → COMPENSATING → COMPENSATED, when money comes that nobody waits for any more.
 *
 * Messages come twice and out of order. Each is answered from the state alone, so what is not awaited changes nothing,
 * except money, which is never kept for a payment that has ended without it.
 */

export type SagaCommand =
  | { readonly type: 'FraudChecked'; readonly status: 'APPROVED' | 'DECLINED'; readonly reason: string }
  | { readonly type: 'WalletAnswered'; readonly outcome: 'debited' | 'declined'; readonly reason: string }
  | { readonly type: 'ChargeSent' }
  | ChargeAnswered;

/** The gateway spoke about a charge. */
export interface ChargeAnswered {
  readonly type: 'ChargeAnswered';
  readonly status: 'SUCCESS' | 'FAILED' | 'INSUFFICIENT_FUNDS' | 'TIMEOUT';
  readonly reason: string;
  /** Of FAILED: `gateway` for a technical no. */
  readonly declinedBy?: 'issuer' | 'gateway';
  /** Of TIMEOUT: when the gateway is asked again. */
  readonly nextAttemptAt?: number;
}

type Events = PaymentEvent[];

/** What the payment does about something that happened elsewhere. */
export function decideSaga(command: SagaCommand, payment: Payment, saga: Saga, now: number): Events {
  switch (command.type) {
    case 'FraudChecked':
      if (saga.state !== 'CHECKING_FRAUD') return [];
      if (command.status === 'DECLINED') return [declined(payment, command.reason, now)];
      return [payment.method === 'wallet' ? askForDebit(payment, 1, now, now) : askForCharge(payment, 1, now)];
    case 'WalletAnswered':
      if (payment.method !== 'wallet') return [];
      if (command.outcome === 'debited') return moneyTaken(payment, saga, now);
      return saga.state === 'DEBITING' ? [declined(payment, command.reason, now)] : [];
    case 'ChargeSent':
      return saga.state === 'SENDING_TO_GATEWAY' ? [advance(payment, 'AWAITING_RESPONSE', 1, CHARGE_SENT, now)] : [];
    case 'ChargeAnswered':
      return payment.method === 'wallet' ? [] : chargeAnswered(command, payment, saga, now);
  }
}

function chargeAnswered(answer: ChargeAnswered, payment: Payment, saga: Saga, now: number): Events {
  if (answer.status === 'SUCCESS') return moneyTaken(payment, saga, now);
  if (!awaitsMoney(saga)) return [];
  if (answer.status === 'TIMEOUT') return outcomeUnknown(answer, payment, saga, now);
  if (answer.declinedBy === 'gateway') return [failed(payment, answer.reason, now)];
  return [declined(payment, answer.reason, now)];
}

/** The gateway may or may not have taken the money. It is recorded once for each thing that was not known before. */
function outcomeUnknown(answer: ChargeAnswered, payment: Payment, saga: Saga, now: number): Events {
  const { reason, nextAttemptAt = 0 } = answer;
  if (saga.stuckReason === reason && nextAttemptAt <= (saga.nextAttemptAt ?? 0)) return [];
  const attempt = saga.state === 'AWAITING_RESPONSE' ? saga.attempt : 1;
  return [advance(payment, 'AWAITING_RESPONSE', attempt, reason, now, nextAttemptAt || null)];
}

function awaitsMoney(saga: SagaProgress): boolean {
  return saga.state === 'DEBITING' || isAtGateway(saga);
}

function isAtGateway(saga: SagaProgress): boolean {
  return saga.state === 'SENDING_TO_GATEWAY' || saga.state === 'AWAITING_RESPONSE';
}

function moneyTaken(payment: Payment, saga: Saga, now: number): Events {
  if (awaitsMoney(saga)) return [approved(payment, now)];
  const ended = payment.status === 'FAILED' || payment.status === 'DECLINED';
  return ended && saga.compensation === null ? [compensate(payment, saga, now)] : [];
}

/** Asks for the payment's whole amount back: again under the id in use, or under a new one where that was declined. */
function compensate(payment: Payment, saga: Saga, now: number): PaymentEvent {
  const { compensation } = saga;
  const repeated = compensation?.open === true;
  const refundId = repeated ? compensation.refundId : compensationIdOf(payment.id, (compensation?.round ?? 0) + 1);
  const attempt = repeated ? saga.attempt + 1 : 1;
  const firstRequestedAt = repeated ? saga.firstRequestedAt : now;
  return giveBack(
    payment,
    { refundId, amountMinor: payment.amountMinor, reason: 'compensation', attempt, firstRequestedAt },
    now,
  );
}

/** The id under which a payment's money is given back after its end: a natural key, so that it is given back once. */
export function compensationIdOf(paymentId: string, round: number): string {
  return round === 1 ? namedUuid('compensation', paymentId) : namedUuid('compensation', paymentId, String(round));
}

/** The wallet or the gateway answered for a compensation. One that was declined stays open, and is tried again later. */
export function answerCompensation(command: RefundAnswered, payment: Payment, saga: Saga, now: number): Events {
  if (saga.state !== 'COMPENSATING') return [];
  if (command.outcome === 'succeeded') return [advance(payment, 'COMPENSATED', 1, 'given_back', now)];
  if (saga.compensation?.open !== true) return [];
  return [advance(payment, 'COMPENSATING', saga.compensation.round, command.reason, now)];
}

/** What follows when a step's deadline has passed: it is repeated, extended, or given up where nothing can be lost. */
export function stepOverdue(payment: Payment, saga: Saga, now: number, settings: PaymentSettings): Events {
  if (saga.deadlineAt === null || now < saga.deadlineAt) return [];
  const lastAttempt = saga.attempt >= settings.maxAttempts;
  if (saga.state === 'CHECKING_FRAUD' && lastAttempt) return [failed(payment, 'fraud_check_timeout', now)];
  if (saga.state === 'DEBITING' && lastAttempt) return [failed(payment, 'wallet_timeout', now)];
  // The gateway service looks a charge up by itself; here only the wait is recorded.
  return isAtGateway(saga) ? [waitOn(payment, saga, 'charge_not_answered', now)] : [repeatStep(payment, saga, now)];
}

/** An operator asks for the open step again; every request carries the key of the first, so nothing happens twice. */
export function retryStep(payment: Payment, saga: Saga, now: number): Events {
  if (saga.deadlineAt === null) return [];
  return [repeatStep(payment, saga, now)];
}

function repeatStep(payment: Payment, saga: Saga, now: number): PaymentEvent {
  switch (saga.state) {
    case 'DEBITING':
      return askForDebit(payment, saga.attempt + 1, saga.firstRequestedAt, now);
    case 'COMPENSATING':
      return compensate(payment, saga, now);
    case 'SENDING_TO_GATEWAY':
    case 'AWAITING_RESPONSE':
      return askForCharge(payment, saga.attempt + 1, now);
    default:
      // Fraud follows payments.created by itself: there is nothing to ask again, only longer to wait.
      return waitOn(payment, saga, 'fraud_check_not_answered', now);
  }
}

function waitOn(payment: Payment, saga: Saga, reason: string, now: number): PaymentEvent {
  return advance(payment, saga.state, saga.attempt + 1, saga.stuckReason ?? reason, now, saga.nextAttemptAt);
}

/** An operator gives an open saga up. Money that may have been taken at a gateway is never given up. */
export function giveUp(payment: Payment, saga: Saga, now: number): Result<readonly PaymentEvent[]> {
  switch (saga.state) {
    case 'CHECKING_FRAUD':
    case 'DEBITING':
      return accept([failed(payment, 'operator_compensated', now)]);
    case 'COMPENSATING':
      return accept([compensate(payment, saga, now)]);
    case 'SENDING_TO_GATEWAY':
    case 'AWAITING_RESPONSE':
      return refuse(
        'saga_not_stuck',
        'it is not known yet whether the gateway took the money; retry the saga to ask again',
      );
    default:
      return refuse(
        'saga_not_stuck',
        `the saga is ${saga.state}: there is nothing to compensate; an approved payment can be refunded`,
      );
  }
}

function askForDebit(payment: Payment, attempt: number, firstRequestedAt: number, now: number): PaymentEvent {
  const data = {
    payment_id: payment.id,
    user_id: payment.customerId,
    ...money(payment),
    reason: 'payment',
    trace_id: payment.traceId,
    requested_at: toTimestamp(now),
    ...(attempt > 1 && { attempt, first_requested_at: toTimestamp(firstRequestedAt) }),
  };
  return { type: 'wallet.debit.requested', data };
}

function askForCharge(payment: Payment, attempt: number, now: number): PaymentEvent {
  const data = {
    payment_id: payment.id,
    ...money(payment),
    ...(payment.paymentToken !== null && { payment_token: payment.paymentToken }),
    idempotency_key: `charge-${payment.id}`,
    customer_id: payment.customerId,
    trace_id: payment.traceId,
    requested_at: toTimestamp(now),
    ...(attempt > 1 && { attempt }),
  };
  return { type: 'gateway.charge.requested', data };
}

function advance(
  payment: Payment,
  state: SagaState,
  attempt: number,
  reason: string,
  now: number,
  nextAttemptAt: number | null = null,
): EventOf<typeof sagaAdvanced> {
  const data = { payment_id: payment.id, state, attempt, reason, trace_id: payment.traceId, at: toTimestamp(now) };
  if (nextAttemptAt === null) return { type: 'payments.saga.advanced', data };
  return { type: 'payments.saga.advanced', data: { ...data, next_attempt_at: toTimestamp(nextAttemptAt) } };
}

function approved(payment: Payment, now: number): PaymentEvent {
  return { type: 'payments.approved', data: { ...completion(payment, 'success', now), status: 'APPROVED' } };
}

function declined(payment: Payment, reason: string, now: number): PaymentEvent {
  return { type: 'payments.declined', data: { ...completion(payment, reason, now), status: 'DECLINED' } };
}

function failed(payment: Payment, reason: string, now: number): PaymentEvent {
  return { type: 'payments.failed', data: { ...completion(payment, reason, now), status: 'FAILED' } };
}

function completion(payment: Payment, reason: string, now: number) {
  return {
    id: payment.id,
    reason,
    ...money(payment),
    customer_id: payment.customerId,
    method: payment.method,
    trace_id: payment.traceId,
    completed_at: toTimestamp(now),
  };
}

function money({ amountMinor, currency }: Payment) {
  return { amount: toMajor(amountMinor, currency), amount_minor: amountMinor, currency };
}
