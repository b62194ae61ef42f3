import type { EventOf } from '#kernel/core/event.ts';
import { invariant } from '#kernel/core/invariant.ts';
import { formatAmount, toMajor } from '#kernel/core/money.ts';
import type { Result } from '#kernel/core/result.ts';
import { accept, refuse } from '#kernel/core/result.ts';
import { fromTimestamp, toTimestamp } from '#kernel/core/timestamp.ts';
import type { gatewayRefundRequested, PaymentMethod, refundRequested, walletCreditRequested } from './contract.ts';
import {
  deadlineOf,
  type Payment,
  type PaymentEvent,
  type PaymentSettings,
  type Refund,
  type RefundStatus,
} from './payment.decider.ts';

export interface RequestRefund {
  readonly type: 'RequestRefund';
  /** The same id asked for again is the same refund. */
  readonly refundId: string;
  /** All that is left, when absent. */
  readonly amountMinor?: number;
  readonly reason: string;
}

/** The wallet or the gateway answered for a refund, or for the compensation with that id. */
export interface RefundAnswered {
  readonly type: 'RefundAnswered';
  readonly refundId: string;
  readonly outcome: 'succeeded' | 'declined';
  /** A stable code. */
  readonly reason: string;
}

type Decision = Result<readonly PaymentEvent[]>;

/** What can still be refunded, in minor units: what was taken less what was given back or is about to be. */
export function refundableMinor(payment: Payment): number {
  const taken =
    payment.status === 'APPROVED' || payment.status === 'PARTIALLY_REFUNDED' || payment.status === 'REFUNDED';
  return taken ? payment.amountMinor - payment.refundedMinor - payment.refundPendingMinor : 0;
}

/** Promises money back and asks the wallet or the gateway that it was taken from for it. */
export function requestRefund(
  command: RequestRefund,
  payment: Payment,
  now: number,
  settings: PaymentSettings,
): Decision {
  if (payment.id === '') return refuse('payment_not_found', 'there is no such payment');
  if (payment.refunds[command.refundId] !== undefined) return accept([]);
  if (payment.status === 'PENDING' || payment.status === 'DECLINED' || payment.status === 'FAILED') {
    return refuse(
      'payment_not_refundable',
      `a payment that is ${payment.status} cannot be refunded, only an approved one`,
    );
  }
  if (payment.refundCount >= settings.maxRefundsPerPayment) {
    return refuse('payment_not_refundable', `a payment can have at most ${settings.maxRefundsPerPayment} refunds`);
  }
  const left = refundableMinor(payment);
  const amountMinor = command.amountMinor ?? left;
  if (amountMinor > left || left === 0) {
    const { currency } = payment;
    const message = `${formatAmount(left, currency)} ${currency} of the payment can be refunded, not ${formatAmount(amountMinor, currency)}`;
    return refuse('refund_exceeds_payment', message, 'amount');
  }
  if (!Number.isSafeInteger(amountMinor) || amountMinor <= 0) {
    return refuse('amount_not_positive', 'amount must be greater than zero', 'amount');
  }
  const { refundId, reason } = command;
  return accept([
    promised(payment, refundId, amountMinor, reason, now),
    giveBack(payment, { refundId, amountMinor, reason: 'refund', attempt: 1, firstRequestedAt: now }, now),
  ]);
}

/** Of a purchase that gives up what it has paid for. */
export interface RefundPurchase {
  readonly type: 'RefundPurchase';
  readonly refundId: string;
  readonly amountMinor: number;
  readonly reason: string;
}

/**
 * As a client's refund, but it takes what is left where that is less, and nothing where nothing is: others may have refunded the
 * payment, and the purchase hears of it when all of it is given back.
 */
export function refundPurchase(
  command: RefundPurchase,
  payment: Payment,
  now: number,
  settings: PaymentSettings,
): Decision {
  const amountMinor = Math.min(command.amountMinor, refundableMinor(payment));
  if (amountMinor === 0 || payment.refundCount >= settings.maxRefundsPerPayment) return accept([]);
  return requestRefund({ ...command, type: 'RequestRefund', amountMinor }, payment, now, settings);
}

/** Settles a refund that is under way. Answers for unknown and for settled refunds change nothing. */
export function answerRefund(command: RefundAnswered, payment: Payment, now: number): Decision {
  const { refundId } = command;
  const refund = payment.refunds[refundId];
  if (refund === undefined) return accept([]);
  const succeeded = command.outcome === 'succeeded';
  if (refund.status === 'PENDING') {
    return accept([
      succeeded ? refunded(payment, refundId, refund, now) : failed(payment, refundId, refund, command.reason, now),
    ]);
  }
  if (refund.status === 'FAILED' && succeeded) return accept(reviveRefund(payment, refundId, refund, now));
  return accept([]);
}

/** A refund was reported as failed and then as made: the money is gone, so it has to fit what was taken. */
function reviveRefund(payment: Payment, refundId: string, refund: Refund, now: number): PaymentEvent[] {
  invariant(refund.amountMinor <= refundableMinor(payment), 'a refund reported as failed is made again only once');
  const { amountMinor, reason } = refund;
  return [promised(payment, refundId, amountMinor, reason, now), refunded(payment, refundId, refund, now)];
}

/** Asks again for the refunds that are under way: those past their deadline, or all of them. */
export function askAgainForRefunds(payment: Payment, now: number, which: 'overdue' | 'all'): PaymentEvent[] {
  if (payment.refundPendingMinor === 0) return [];
  const events: PaymentEvent[] = [];
  for (const [refundId, refund] of Object.entries(payment.refunds)) {
    if (refund.status !== 'PENDING' || (which === 'overdue' && (refund.deadlineAt ?? 0) > now)) continue;
    const { amountMinor, firstRequestedAt } = refund;
    const again = { refundId, amountMinor, reason: 'refund', attempt: refund.attempt + 1, firstRequestedAt } as const;
    events.push(giveBack(payment, again, now));
  }
  return events;
}

/** What is asked of a wallet or a gateway that shall give money back; repeated under the same id until it answers. */
export interface GiveBack {
  readonly refundId: string;
  readonly amountMinor: number;
  readonly reason: 'refund' | 'compensation';
  readonly attempt: number;
  readonly firstRequestedAt: number;
}

/** The request that gives money back to where it was taken from. */
export function giveBack(payment: Payment, what: GiveBack, now: number): PaymentEvent {
  const request = {
    payment_id: payment.id,
    refund_id: what.refundId,
    amount: toMajor(what.amountMinor, payment.currency),
    amount_minor: what.amountMinor,
    currency: payment.currency,
    reason: what.reason,
    trace_id: payment.traceId,
    requested_at: toTimestamp(now),
    attempt: what.attempt,
  };
  if (payment.method !== 'wallet') {
    const idempotency_key = `refund-${what.refundId}`;
    return { type: 'gateway.refund.requested', data: { ...request, idempotency_key, customer_id: payment.customerId } };
  }
  const first_requested_at = toTimestamp(what.firstRequestedAt);
  return { type: 'wallet.credit.requested', data: { ...request, user_id: payment.customerId, first_requested_at } };
}

function promised(payment: Payment, refundId: string, amountMinor: number, reason: string, now: number): PaymentEvent {
  const data = { ...refundData(payment, refundId, amountMinor, reason), requested_at: toTimestamp(now) };
  return { type: 'payments.refund.requested', data };
}

function refunded(payment: Payment, refundId: string, refund: Refund, now: number): PaymentEvent {
  const refundedMinor = payment.refundedMinor + refund.amountMinor;
  return {
    type: 'payments.refunded',
    data: {
      ...refundData(payment, refundId, refund.amountMinor, refund.reason),
      status: refundedMinor === payment.amountMinor ? 'REFUNDED' : 'PARTIALLY_REFUNDED',
      refunded_minor: refundedMinor,
      completed_at: toTimestamp(now),
    },
  };
}

function failed(payment: Payment, refundId: string, refund: Refund, error: string, now: number): PaymentEvent {
  const data = refundData(payment, refundId, refund.amountMinor, refund.reason);
  return { type: 'payments.refund.failed', data: { ...data, error, completed_at: toTimestamp(now) } };
}

function refundData(payment: Payment, refundId: string, amountMinor: number, reason: string) {
  return {
    refund_id: refundId,
    payment_id: payment.id,
    amount: toMajor(amountMinor, payment.currency),
    amount_minor: amountMinor,
    currency: payment.currency,
    reason,
    trace_id: payment.traceId,
    method: payment.method,
    customer_id: payment.customerId,
  };
}

/** How long the first request of a refund or a compensation waits, milliseconds. */
export function giveBackWait(method: PaymentMethod, settings: PaymentSettings): number {
  return method === 'wallet' ? settings.debitDeadlineMs : settings.gatewayDeadlineMs;
}

/** The payment's refunds after an event of its stream. */
export function evolveRefunds(payment: Payment, event: PaymentEvent, settings: PaymentSettings): Payment {
  switch (event.type) {
    case 'payments.refund.requested':
      return withRefund(payment, event.data, settings);
    case 'wallet.credit.requested':
    case 'gateway.refund.requested':
      return withRequest(payment, event.data, settings);
    case 'payments.refunded': {
      const { status, refunded_minor } = event.data;
      return withSettled({ ...payment, status, refundedMinor: refunded_minor }, event.data, 'SUCCEEDED');
    }
    case 'payments.refund.failed':
      return withSettled(payment, event.data, 'FAILED');
    default:
      return payment;
  }
}

function withRefund(
  payment: Payment,
  data: EventOf<typeof refundRequested>['data'],
  settings: PaymentSettings,
): Payment {
  const requestedAt = fromTimestamp(data.requested_at);
  const refund: Refund = {
    status: 'PENDING',
    amountMinor: data.amount_minor,
    reason: data.reason,
    attempt: 1,
    firstRequestedAt: requestedAt,
    deadlineAt: deadlineOf(requestedAt, giveBackWait(payment.method, settings), 1, settings),
  };
  const isNew = payment.refunds[data.refund_id] === undefined;
  return checked({
    ...payment,
    refundPendingMinor: payment.refundPendingMinor + data.amount_minor,
    refundCount: payment.refundCount + (isNew ? 1 : 0),
    refunds: { ...payment.refunds, [data.refund_id]: refund },
  });
}

function withRequest(
  payment: Payment,
  data: EventOf<typeof walletCreditRequested | typeof gatewayRefundRequested>['data'],
  settings: PaymentSettings,
): Payment {
  const refund = payment.refunds[data.refund_id];
  const attempt = data.attempt ?? 1;
  if (refund === undefined || refund.attempt === attempt) return payment;
  const wait = giveBackWait(payment.method, settings);
  const deadlineAt = deadlineOf(fromTimestamp(data.requested_at), wait, attempt, settings);
  return { ...payment, refunds: { ...payment.refunds, [data.refund_id]: { ...refund, attempt, deadlineAt } } };
}

function withSettled(
  payment: Payment,
  data: { readonly refund_id: string; readonly amount_minor: number },
  status: RefundStatus,
): Payment {
  const refund = payment.refunds[data.refund_id];
  invariant(refund?.status === 'PENDING', 'only a pending refund is settled');
  return checked({
    ...payment,
    refundPendingMinor: payment.refundPendingMinor - data.amount_minor,
    refunds: { ...payment.refunds, [data.refund_id]: { ...refund, status, deadlineAt: null } },
  });
}

function checked(payment: Payment): Payment {
  const { amountMinor, refundedMinor, refundPendingMinor } = payment;
  invariant(refundedMinor >= 0 && refundPendingMinor >= 0, 'refunds are never negative');
  invariant(refundedMinor + refundPendingMinor <= amountMinor, 'refunds never exceed the payment');
  return payment;
}
