import { namedUuid } from '#kernel/core/ids.ts';
import { toMajor } from '#kernel/core/money.ts';
import { toTimestamp } from '#kernel/core/timestamp.ts';
import { paymentIdOf } from './contract.ts';
import type { OpenRefund, Purchase, PurchaseEvent } from './saga.ts';

/** A refund of the payment was made; it need not be the purchase's own. */
export interface RefundMade {
  readonly type: 'RefundMade';
  readonly refundId: string;
  readonly amountMinor: number;
  /** All refunds of the payment so far. */
  readonly refundedMinor: number;
}

type Events = readonly PurchaseEvent[];

/** Nothing, where other refunds of the payment have given back all of it already. */
export function refundOf(purchase: Purchase, amountMinor: number, reason: string, now: number): Events {
  return purchase.refundedMinor >= purchase.amountMinor ? [] : [nextRefund(purchase, amountMinor, reason, now)];
}

/** Gives money back that was not asked back before. */
export function nextRefund(purchase: Purchase, amountMinor: number, reason: string, now: number): PurchaseEvent {
  return askForRefund(purchase, purchase.refundCount + 1, { amountMinor, round: 1, attempt: 1, reason }, now);
}

function askForRefund(
  purchase: Purchase,
  number: number,
  { amountMinor, round, attempt, reason }: Pick<OpenRefund, 'amountMinor' | 'round' | 'attempt' | 'reason'>,
  now: number,
): PurchaseEvent {
  const data = {
    ...orderData(purchase, amountMinor),
    refund_id: namedUuid('purchase refund', purchase.id, String(number), String(round)),
    refund_number: number,
    round,
    attempt,
    reason,
    requested_at: toTimestamp(now),
  };
  return { type: 'purchase.refund.requested', data };
}

/**
 * What was given back, by whomever. Where others had a refund under way, the purchase's own may have been less than it asked for: the
 * rest is asked for anew, in case theirs is not made.
 */
export function refunded(
  { refundId, amountMinor, refundedMinor }: RefundMade,
  purchase: Purchase,
  now: number,
): Events {
  const own = Object.values(purchase.refunds).find((refund) => refund.refundId === refundId);
  if (own === undefined && refundedMinor <= purchase.refundedMinor) return [];
  const isAll = refundedMinor >= purchase.amountMinor;
  const missing = own === undefined || isAll ? 0 : own.amountMinor - amountMinor;
  const data = {
    ...orderData(purchase, amountMinor),
    refund_id: refundId,
    status: isAll ? ('REFUNDED' as const) : ('PARTIALLY_REFUNDED' as const),
    refunded_minor: refundedMinor,
    refunded_at: toTimestamp(now),
  };
  const rest = missing > 0 ? [nextRefund(purchase, missing, own!.reason, now)] : [];
  return [{ type: 'purchase.refunded', data }, ...rest];
}

/** The payment could not give the money back under this id: the next request takes another. */
export function refundFailed(refundId: string, error: string, purchase: Purchase, now: number): Events {
  const found = Object.entries(purchase.refunds).find(([, refund]) => refund.refundId === refundId);
  if (found === undefined || found[1].hasFailed) return [];
  const data = {
    ...orderData(purchase, found[1].amountMinor),
    refund_id: refundId,
    refund_number: Number(found[0]),
    error,
    failed_at: toTimestamp(now),
  };
  return [{ type: 'purchase.refund.failed', data }];
}

/** An id that failed is not asked for again, and one that may be under way under no other. */
export function refundsOverdue(purchase: Purchase, now: number): Events {
  return Object.entries(purchase.refunds)
    .filter(([, { deadlineAt }]) => deadlineAt !== null && deadlineAt <= now)
    .map(([number, refund]) => {
      const round = refund.hasFailed ? refund.round + 1 : refund.round;
      return askForRefund(purchase, Number(number), { ...refund, round, attempt: refund.attempt + 1 }, now);
    });
}

/** What every event of a purchase says of it. @param amountMinor what the event is about, when not all of it */
export function orderData(
  { id, customerId, currency, traceId, ...purchase }: Purchase,
  amountMinor = purchase.amountMinor,
) {
  return {
    purchase_id: id,
    payment_id: paymentIdOf(id),
    customer_id: customerId,
    amount: toMajor(amountMinor, currency),
    amount_minor: amountMinor,
    currency,
    trace_id: traceId,
  };
}
