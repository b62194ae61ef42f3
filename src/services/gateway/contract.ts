import { Type } from '@sinclair/typebox';
import { defineEvent } from '#kernel/core/event.ts';
import { amountFields, count, oneOf, text, timestamp, traceId, uuid } from '#kernel/core/schemas.ts';

/** One stream per charge; its id is the payment's. */
export const CHARGE = 'charge';
/** One stream per refund at the gateway; its id is the refund's. */
export const GATEWAY_REFUND = 'gateway-refund';

/** Charges and refunds: what a gateway is asked to carry out. */
export type OperationKind = 'charge' | 'refund';

/** `TIMEOUT`: unknown whether the money was taken; a later answer decides. */
export const ANSWER_STATUSES = ['SUCCESS', 'FAILED', 'INSUFFICIENT_FUNDS', 'TIMEOUT'] as const;
export type AnswerStatus = (typeof ANSWER_STATUSES)[number];

export const gatewayChargeSent = defineEvent({
  type: 'gateway.charge.sent',
  version: 1,
  description: 'The charge was handed to the gateway, and its answer is awaited.',
  schema: Type.Object(
    {
      payment_id: uuid(),
      gateway: text('the provider'),
      gateway_payment_id: Type.Optional(text("the provider's own id, where it is known")),
      trace_id: traceId(),
      sent_at: timestamp('when'),
    },
    { additionalProperties: false },
  ),
});

const answer = {
  payment_id: uuid(),
  gateway: text('the provider'),
  status: oneOf(ANSWER_STATUSES),
  transaction_id: Type.Optional(text("the provider's transaction")),
  reason: text('a stable code: `success`, `card_declined`, `insufficient_funds`, `timeout`…'),
  ...amountFields,
  trace_id: traceId(),
  responded_at: timestamp('when'),
  next_attempt_at: Type.Optional(timestamp('after TIMEOUT: when the gateway is asked again')),
};

export const gatewayChargeAnswered = defineEvent({
  type: 'gateway.charge.answered',
  version: 1,
  description: 'The gateway answered for a charge, or the call timed out.',
  schema: Type.Object(
    {
      ...answer,
      declined_by: Type.Optional(oneOf(['issuer', 'gateway'], 'FAILED: a business no, or a technical one')),
    },
    { additionalProperties: false },
  ),
});

export const gatewayRefundAnswered = defineEvent({
  type: 'gateway.refund.answered',
  version: 1,
  description: 'The gateway answered for a refund, or the call timed out.',
  schema: Type.Object({ ...answer, refund_id: uuid() }, { additionalProperties: false }),
});

/**
 * What an attempt left open: the gateway will tell later, nothing was taken so far, or nobody knows. `asked_again` is no
 * attempt: somebody wants the next one at once.
 */
const ATTEMPT_OUTCOMES = ['pending', 'not_taken', 'unknown', 'asked_again'] as const;
export type AttemptOutcome = (typeof ATTEMPT_OUTCOMES)[number];

export const gatewayAttemptRecorded = defineEvent({
  type: 'gateway.attempt.recorded',
  version: 1,
  description: 'A charge or refund is still open; when the gateway is asked next. Internal.',
  schema: Type.Object(
    {
      payment_id: uuid(),
      refund_id: Type.Optional(uuid('where it is about a refund')),
      gateway: text('the provider'),
      outcome: oneOf(ATTEMPT_OUTCOMES),
      reason: text('a stable code: `gateway_unavailable`, `gateway_error`, `timeout`, `connection_lost`…'),
      attempt: count('attempts so far that decided nothing, this one included'),
      calls: count('calls so far that may have moved money'),
      next_attempt_at: timestamp('when the gateway is asked again'),
      trace_id: traceId(),
      at: timestamp('when'),
    },
    { additionalProperties: false },
  ),
});
