import type { EventOf } from '#kernel/core/event.ts';
import { invariant } from '#kernel/core/invariant.ts';
import { toMajor } from '#kernel/core/money.ts';
import type { Result } from '#kernel/core/result.ts';
import { accept } from '#kernel/core/result.ts';
import { fromTimestamp, toTimestamp } from '#kernel/core/timestamp.ts';
import type {
  gatewayChargeRequested,
  gatewayRefundRequested,
  PaymentMethod,
  PaymentStatus,
  paymentApproved,
  paymentCreated,
  paymentDeclined,
  paymentFailed,
  paymentRefunded,
  refundFailed,
  refundRequested,
  sagaAdvanced,
  walletCreditRequested,
  walletDebitRequested,
} from './contract.ts';

/** Everything that the stream of a payment can hold. */
export type PaymentEvent = EventOf<
  | typeof paymentCreated
  | typeof walletDebitRequested
  | typeof walletCreditRequested
  | typeof gatewayChargeRequested
  | typeof gatewayRefundRequested
  | typeof paymentApproved
  | typeof paymentDeclined
  | typeof paymentFailed
  | typeof refundRequested
  | typeof paymentRefunded
  | typeof refundFailed
  | typeof sagaAdvanced
>;

export type RefundStatus = 'PENDING' | 'SUCCEEDED' | 'FAILED';

/** One refund of a payment. Times in milliseconds since 1970. */
export interface Refund {
  readonly status: RefundStatus;
  readonly amountMinor: number;
  readonly reason: string;
  /** How often the money was asked for, and when first. */
  readonly attempt: number;
  readonly firstRequestedAt: number;
  /** When the wallet or the gateway must have answered; null once settled. */
  readonly deadlineAt: number | null;
}

/** A payment and its refunds. `id` is empty until the payment exists. Times in milliseconds since 1970. */
export interface Payment {
  readonly id: string;
  readonly customerId: string;
  readonly method: PaymentMethod;
  readonly amountMinor: number;
  readonly currency: string;
  readonly traceId: string;
  readonly paymentToken: string | null;
  readonly status: PaymentStatus;
  /** Why it ended as it did; null while it is pending. */
  readonly reason: string | null;
  readonly createdAt: number;
  readonly completedAt: number | null;
  /** Given back so far. */
  readonly refundedMinor: number;
  /** Asked to be given back, not yet answered. */
  readonly refundPendingMinor: number;
  readonly refundCount: number;
  readonly refunds: Readonly<Record<string, Refund>>;
}

export const NO_PAYMENT: Payment = {
  id: '',
  customerId: '',
  method: 'wallet',
  amountMinor: 0,
  currency: '',
  traceId: '',
  paymentToken: null,
  status: 'PENDING',
  reason: null,
  createdAt: 0,
  completedAt: null,
  refundedMinor: 0,
  refundPendingMinor: 0,
  refundCount: 0,
  refunds: {},
};

/** How long the sagas of payments and refunds wait, and how often they ask. Times in milliseconds. */
export interface PaymentSettings {
  /** The fraud check, first time. */
  readonly fraudDeadlineMs: number;
  /** A debit or a credit of a wallet, first time. */
  readonly debitDeadlineMs: number;
  /** An answer of the card gateway, first time. */
  readonly gatewayDeadlineMs: number;
  /** After so many tries without an answer of the fraud check or the debit, the payment fails. */
  readonly maxAttempts: number;
  /** Each wait is twice the one before, up to this. */
  readonly maxWaitMs: number;
  readonly maxRefundsPerPayment: number;
}

export const DEFAULT_PAYMENT_SETTINGS: PaymentSettings = {
  fraudDeadlineMs: 5_000,
  debitDeadlineMs: 5_000,
  gatewayDeadlineMs: 30_000,
  maxAttempts: 3,
  maxWaitMs: 600_000,
  maxRefundsPerPayment: 1_000,
};

/**
 * When a step must have been answered.
 * @param from when it was asked for, milliseconds since 1970
 * @param firstWaitMs how long the first attempt waits
 * @param attempt 1 for the first
 */
export function deadlineOf(from: number, firstWaitMs: number, attempt: number, settings: PaymentSettings): number {
  return from + Math.min(firstWaitMs * 2 ** (attempt - 1), settings.maxWaitMs);
}

export interface CreatePayment {
  readonly type: 'CreatePayment';
  readonly paymentId: string;
  readonly customerId: string;
  readonly method: PaymentMethod;
  readonly amountMinor: number;
  readonly currency: string;
  readonly traceId: string;
  readonly paymentToken?: string;
  readonly description?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  /** After that nobody waits for it any more: it is not begun. Milliseconds since 1970. */
  readonly notAfter?: number;
}

/** Accepts a payment; one that exists already is left as it is. */
export function createPayment(command: CreatePayment, payment: Payment, now: number): Result<readonly PaymentEvent[]> {
  if (payment.id !== '' || now > (command.notAfter ?? now)) return accept([]);
  const { amountMinor, currency, paymentToken, description, metadata } = command;
  invariant(Number.isSafeInteger(amountMinor) && amountMinor > 0, 'the amount of a payment is a positive safe integer');
  const data = {
    id: command.paymentId,
    amount: toMajor(amountMinor, currency),
    amount_minor: amountMinor,
    currency,
    status: 'PENDING' as const,
    method: command.method,
    customer_id: command.customerId,
    trace_id: command.traceId,
    created_at: toTimestamp(now),
    ...(paymentToken !== undefined && { payment_token: paymentToken }),
    ...(description !== undefined && { description }),
    ...(metadata !== undefined && { metadata }),
  };
  return accept([{ type: 'payments.created', data }]);
}

/** The payment after an event of its stream; what concerns its refunds is in `refund.decider.ts`. */
export function evolvePayment(payment: Payment, event: PaymentEvent): Payment {
  switch (event.type) {
    case 'payments.created':
      return created(event.data);
    case 'payments.approved':
    case 'payments.declined':
    case 'payments.failed':
      return {
        ...payment,
        status: event.data.status,
        reason: event.data.reason,
        completedAt: fromTimestamp(event.data.completed_at),
      };
    default:
      return payment;
  }
}

function created(data: EventOf<typeof paymentCreated>['data']): Payment {
  return {
    ...NO_PAYMENT,
    id: data.id,
    customerId: data.customer_id,
    method: data.method,
    amountMinor: data.amount_minor,
    currency: data.currency,
    traceId: data.trace_id,
    paymentToken: data.payment_token ?? null,
    createdAt: fromTimestamp(data.created_at),
  };
}
