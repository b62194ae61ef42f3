import { Type } from '@sinclair/typebox';
import { defineEvent } from '#kernel/core/event.ts';
import { amountFields, count, oneOf, text, timestamp, traceId, uuid } from '#kernel/core/schemas.ts';

export const PAYMENT_METHODS = ['wallet', 'credit_card', 'debit_card'] as const;
export type PaymentMethod = (typeof PAYMENT_METHODS)[number];

export const PAYMENT_STATUSES = [
  'PENDING',
  'APPROVED',
  'DECLINED',
  'FAILED',
  'PARTIALLY_REFUNDED',
  'REFUNDED',
] as const;
export type PaymentStatus = (typeof PAYMENT_STATUSES)[number];

export const SAGA_STATES = [
  'INITIALIZED',
  'CHECKING_FRAUD',
  'DEBITING',
  'SENDING_TO_GATEWAY',
  'AWAITING_RESPONSE',
  'COMPLETED',
  'FAILED',
  'COMPENSATING',
  'COMPENSATED',
] as const;
export type SagaState = (typeof SAGA_STATES)[number];

/** The aggregate type of payments: one stream per payment, its id is the payment's. */
export const PAYMENT = 'payment';

const payer = Type.Optional(text('who pays; topologies order by it'));
const paymentToken = Type.Optional(text('the card token, never a card number'));

export const paymentCreated = defineEvent({
  type: 'payments.created',
  version: 1,
  description: 'A payment was accepted and waits for its checks.',
  schema: Type.Object(
    {
      id: uuid('the payment'),
      ...amountFields,
      status: oneOf(['PENDING']),
      method: oneOf(PAYMENT_METHODS),
      customer_id: text('who pays'),
      trace_id: traceId(),
      created_at: timestamp('when it was accepted'),
      payment_token: paymentToken,
      description: Type.Optional(Type.String({ maxLength: 1000 })),
      metadata: Type.Optional(Type.Record(Type.String({ maxLength: 64 }), Type.String({ maxLength: 500 }))),
    },
    { additionalProperties: false },
  ),
});

export const walletDebitRequested = defineEvent({
  type: 'wallet.debit.requested',
  version: 1,
  description: "The payment asks for its amount from the customer's wallet.",
  schema: Type.Object(
    {
      payment_id: uuid(),
      user_id: text('whose wallet'),
      ...amountFields,
      reason: text('why'),
      trace_id: traceId(),
      requested_at: timestamp('when it was asked for'),
      attempt: Type.Optional(Type.Integer({ minimum: 1, description: '1 when absent' })),
      first_requested_at: Type.Optional(timestamp('when attempt 1 was made')),
    },
    { additionalProperties: false },
  ),
});

export const walletCreditRequested = defineEvent({
  type: 'wallet.credit.requested',
  version: 1,
  description: 'Money goes back to a wallet: a refund, or the compensation of a debit.',
  schema: Type.Object(
    {
      payment_id: uuid(),
      refund_id: uuid('the refund, or the id of the compensation'),
      user_id: text('whose wallet'),
      ...amountFields,
      reason: oneOf(['refund', 'compensation']),
      trace_id: traceId(),
      requested_at: timestamp('when it was asked for'),
      attempt: Type.Optional(Type.Integer({ minimum: 1, description: '1 when absent' })),
      first_requested_at: Type.Optional(timestamp('when attempt 1 was made')),
    },
    { additionalProperties: false },
  ),
});

export const gatewayChargeRequested = defineEvent({
  type: 'gateway.charge.requested',
  version: 1,
  description: 'The payment asks the card gateway for its amount.',
  schema: Type.Object(
    {
      payment_id: uuid(),
      ...amountFields,
      payment_token: paymentToken,
      idempotency_key: text('the key that the gateway knows the charge by'),
      customer_id: payer,
      trace_id: traceId(),
      requested_at: timestamp('when it was asked for'),
      attempt: Type.Optional(Type.Integer({ minimum: 1, description: '1 when absent' })),
    },
    { additionalProperties: false },
  ),
});

export const gatewayRefundRequested = defineEvent({
  type: 'gateway.refund.requested',
  version: 1,
  description: 'A refund, or the compensation of a charge, asks the card gateway to give money back.',
  schema: Type.Object(
    {
      payment_id: uuid(),
      refund_id: uuid('the refund, or the id of the compensation'),
      ...amountFields,
      reason: Type.Optional(oneOf(['refund', 'compensation'], 'refund when absent')),
      idempotency_key: text('the key that the gateway knows the refund by'),
      customer_id: payer,
      trace_id: traceId(),
      requested_at: timestamp('when it was asked for'),
      attempt: Type.Optional(Type.Integer({ minimum: 1, description: '1 when absent' })),
    },
    { additionalProperties: false },
  ),
});

const completion = {
  id: uuid('the payment'),
  reason: text('a stable code'),
  ...amountFields,
  customer_id: text('who pays'),
  method: oneOf(PAYMENT_METHODS),
  trace_id: traceId(),
  completed_at: timestamp('when it was decided'),
};

export const paymentApproved = defineEvent({
  type: 'payments.approved',
  version: 1,
  description: 'The money was taken; final.',
  schema: Type.Object({ ...completion, status: oneOf(['APPROVED']) }, { additionalProperties: false }),
});

export const paymentDeclined = defineEvent({
  type: 'payments.declined',
  version: 1,
  description: 'A business no (fraud, funds, issuer); nothing was taken; final.',
  schema: Type.Object({ ...completion, status: oneOf(['DECLINED']) }, { additionalProperties: false }),
});

export const paymentFailed = defineEvent({
  type: 'payments.failed',
  version: 1,
  description: 'Given up for a technical reason; nothing was taken, or it is being given back; final.',
  schema: Type.Object({ ...completion, status: oneOf(['FAILED']) }, { additionalProperties: false }),
});

const refund = {
  refund_id: uuid(),
  payment_id: uuid(),
  ...amountFields,
  reason: text('why', 1000),
  trace_id: traceId(),
  customer_id: payer,
};

/** Settled refunds name the method since topologies go by it; the event that asked always did. */
const settledRefund = { ...refund, method: Type.Optional(oneOf(PAYMENT_METHODS)) };

export const refundRequested = defineEvent({
  type: 'payments.refund.requested',
  version: 1,
  description: 'Part or all of a payment is to be given back.',
  schema: Type.Object(
    { ...refund, method: oneOf(PAYMENT_METHODS), requested_at: timestamp('when') },
    { additionalProperties: false },
  ),
});

export const paymentRefunded = defineEvent({
  type: 'payments.refunded',
  version: 1,
  description: 'The money of one refund was given back.',
  schema: Type.Object(
    {
      ...settledRefund,
      status: oneOf(['PARTIALLY_REFUNDED', 'REFUNDED'], 'of the payment, after this refund'),
      refunded_minor: count('all refunds of the payment so far, in minor units'),
      completed_at: timestamp('when'),
    },
    { additionalProperties: false },
  ),
});

export const refundFailed = defineEvent({
  type: 'payments.refund.failed',
  version: 1,
  description: 'A refund could not be made; its amount can be refunded again.',
  schema: Type.Object(
    { ...settledRefund, error: text('a stable code'), completed_at: timestamp('when') },
    { additionalProperties: false },
  ),
});

export const sagaAdvanced = defineEvent({
  type: 'payments.saga.advanced',
  version: 1,
  description: 'The saga moved, or tries a step again, where no other event of the payment says so. Internal.',
  schema: Type.Object(
    {
      payment_id: uuid(),
      state: oneOf(SAGA_STATES),
      attempt: Type.Integer({ minimum: 1, description: 'of the step, 1 for the first' }),
      reason: text('why it moved or waits'),
      trace_id: traceId(),
      at: timestamp('when'),
      next_attempt_at: Type.Optional(timestamp('the outcome of a charge is unknown: when the gateway is asked again')),
    },
    { additionalProperties: false },
  ),
});
