import type { RecordedEvent } from '#kernel/core/event.ts';
import { fromTimestamp } from '#kernel/core/timestamp.ts';
import type { Reaction, ServiceDefinition } from '#kernel/processor/service.ts';
import {
  gatewayChargeRequested,
  gatewayRefundRequested,
  PAYMENT,
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
import { createPaymentDecider, type PaymentCommand } from './decider.ts';
import type { PaymentSettings } from './payment.decider.ts';
import { createRefundProjection, createSagaProjection } from './projections.ts';

/** The payments service: the life cycle of payments, their sagas and refunds. Payments themselves come over HTTP. */
export function paymentsService(settings: PaymentSettings): ServiceDefinition {
  return {
    name: 'payments',
    produces: [
      paymentCreated,
      walletDebitRequested,
      walletCreditRequested,
      gatewayChargeRequested,
      gatewayRefundRequested,
      paymentApproved,
      paymentDeclined,
      paymentFailed,
      refundRequested,
      paymentRefunded,
      refundFailed,
      sagaAdvanced,
    ],
    deciders: [createPaymentDecider(settings)],
    reactions: {
      'purchase.payment.requested': paymentRequested,
      'purchase.refund.requested': ({ data }) =>
        tell(data.payment_id, {
          type: 'RefundPurchase',
          refundId: data.refund_id,
          amountMinor: data.amount_minor,
          reason: data.reason,
        }),
      'payments.checked': ({ data }) =>
        tell(data.id, { type: 'FraudChecked', status: data.status, reason: data.reason }),
      'wallet.debited': ({ data }) =>
        tell(data.payment_id, { type: 'WalletAnswered', outcome: 'debited', reason: data.reason }),
      'wallet.debit.declined': ({ data }) =>
        tell(data.payment_id, { type: 'WalletAnswered', outcome: 'declined', reason: data.reason }),
      'wallet.credited': ({ data }) => (data.refund_id === undefined ? [] : refundAnswered(data, 'succeeded')),
      'wallet.credit.declined': ({ data }) => refundAnswered(data, 'declined'),
      'gateway.charge.sent': ({ data }) => tell(data.payment_id, { type: 'ChargeSent' }),
      'gateway.charge.answered': chargeAnswered,
      'gateway.refund.answered': gatewayRefundAnswered,
    },
    inline: [],
    projections: [createSagaProjection(settings), createRefundProjection(settings)],
    dlqTopic: 'payments.dlq',
  };
}

/** A command for the payment, unless the message concerns none: direct movements of wallets name no payment. */
function tell(paymentId: string | undefined, command: PaymentCommand): readonly Reaction[] {
  return paymentId === undefined ? [] : [{ aggregate: PAYMENT, id: paymentId, command }];
}

/** A purchase is to be paid, by the payment that it names. */
function paymentRequested({ data }: RecordedEvent): readonly Reaction[] {
  const command: PaymentCommand = {
    type: 'CreatePayment',
    paymentId: data.payment_id,
    customerId: data.customer_id,
    method: data.method,
    amountMinor: data.amount_minor,
    currency: data.currency,
    traceId: data.trace_id,
    ...(data.payment_token !== undefined && { paymentToken: data.payment_token }),
    metadata: { purchase_id: data.purchase_id },
    notAfter: fromTimestamp(data.pay_until),
  };
  return [{ aggregate: PAYMENT, id: data.payment_id, command, fresh: true }];
}

function refundAnswered(
  data: { readonly payment_id: string; readonly refund_id: string; readonly reason: string },
  outcome: 'succeeded' | 'declined',
): readonly Reaction[] {
  return tell(data.payment_id, { type: 'RefundAnswered', refundId: data.refund_id, outcome, reason: data.reason });
}

function chargeAnswered({ data }: RecordedEvent): readonly Reaction[] {
  return tell(data.payment_id, {
    type: 'ChargeAnswered',
    status: data.status,
    reason: data.reason,
    ...(data.declined_by !== undefined && { declinedBy: data.declined_by }),
    ...(data.next_attempt_at !== undefined && { nextAttemptAt: fromTimestamp(data.next_attempt_at) }),
  });
}

/** While the outcome of a refund is unknown it stays under way, and is asked for again at its deadline. */
function gatewayRefundAnswered({ data }: RecordedEvent): readonly Reaction[] {
  if (data.status === 'TIMEOUT') return [];
  return refundAnswered(data, data.status === 'SUCCESS' ? 'succeeded' : 'declined');
}
