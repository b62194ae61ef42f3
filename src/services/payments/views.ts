import { type Static, Type } from '@sinclair/typebox';
import { RequestError } from '#kernel/core/errors.ts';
import { toMajor } from '#kernel/core/money.ts';
import { oneOf } from '#kernel/core/schemas.ts';
import { timestampOrNull, toTimestamp } from '#kernel/core/timestamp.ts';
import { nullableText } from '#kernel/http/operation.ts';
import type { Executor } from '#kernel/processor/execute.ts';
import { PAYMENT, PAYMENT_METHODS, PAYMENT_STATUSES, SAGA_STATES } from './contract.ts';
import type { PaymentState } from './decider.ts';
import type { Payment } from './payment.decider.ts';
import type { RefundRow, SagaRow } from './projections.ts';

const amountInAnswers = {
  amount: Type.Number({ description: 'in major units' }),
  amount_minor: Type.Integer({ description: 'in minor units, exact' }),
  currency: Type.String(),
};

const sagaFields = {
  state: oneOf(SAGA_STATES),
  attempt: Type.Integer({ description: 'of the present step, 1 for the first' }),
  deadline_at: nullableText('when the step must have been answered'),
  stuck_reason: nullableText('why the step takes longer than it should'),
  next_attempt_at: nullableText('the outcome is unknown: when the gateway is asked again'),
};

export const paymentSchema = Type.Object({
  id: Type.String(),
  status: oneOf(PAYMENT_STATUSES),
  reason: nullableText('why it ended as it did, a stable code'),
  ...amountInAnswers,
  method: oneOf(PAYMENT_METHODS),
  customer_id: Type.String(),
  description: Type.Optional(Type.String()),
  metadata: Type.Optional(Type.Record(Type.String(), Type.String())),
  refunded: Type.Number(),
  refunded_minor: Type.Integer(),
  created_at: Type.String(),
  completed_at: nullableText(),
  trace_id: Type.String(),
  saga: Type.Optional(Type.Object(sagaFields)),
});
export type PaymentView = Static<typeof paymentSchema>;

export const refundSchema = Type.Object({
  id: Type.String(),
  payment_id: Type.String(),
  status: oneOf(['PENDING', 'SUCCEEDED', 'FAILED']),
  ...amountInAnswers,
  reason: Type.String(),
  error: nullableText('why it failed, a stable code'),
  requested_at: Type.String(),
  completed_at: nullableText(),
  trace_id: Type.String(),
});
export type RefundView = Static<typeof refundSchema>;

const { saga: _saga, id: _id, ...sagaPayment } = paymentSchema.properties;
export const sagaSchema = Type.Object({
  payment_id: Type.String({ description: 'names the saga too' }),
  ...sagaFields,
  stuck: Type.Boolean(),
  ...sagaPayment,
});
type SagaView = Static<typeof sagaSchema>;

/** What a payment is shown by; the read model's rows have it. */
type PaymentFacts = Omit<SagaRow, 'refund_pending_minor' | 'updated_at' | 'version'>;

/** A payment as its creation is answered: its saga has only begun. */
export function paymentView(facts: PaymentFacts): PaymentView {
  const { currency, description, metadata } = facts;
  return {
    id: facts.payment_id,
    status: facts.status,
    reason: facts.reason,
    amount: toMajor(facts.amount_minor, currency),
    amount_minor: facts.amount_minor,
    currency,
    method: facts.method,
    customer_id: facts.customer_id,
    ...(description !== null && { description }),
    ...(metadata !== null && { metadata }),
    refunded: toMajor(facts.refunded_minor, currency),
    refunded_minor: facts.refunded_minor,
    created_at: toTimestamp(facts.created_at),
    completed_at: timestampOrNull(facts.completed_at),
    trace_id: facts.trace_id,
  };
}

/** A payment with where its saga stands. */
export function paymentWithSaga(facts: PaymentFacts): PaymentView {
  return { ...paymentView(facts), saga: sagaOf(facts) };
}

/** @param now milliseconds since 1970: a step past its deadline is stuck */
export function sagaView(facts: PaymentFacts, now: number): SagaView {
  const overdue = facts.deadline_at !== null && facts.deadline_at <= now;
  const { id, ...payment } = paymentView(facts);
  return { payment_id: id, ...sagaOf(facts), stuck: overdue || facts.stuck_reason !== null, ...payment };
}

function sagaOf(facts: PaymentFacts) {
  return {
    state: facts.saga_state,
    attempt: facts.attempt,
    deadline_at: timestampOrNull(facts.deadline_at),
    stuck_reason: facts.stuck_reason,
    next_attempt_at: timestampOrNull(facts.next_attempt_at),
  };
}

/** What the state of a payment's stream does not hold: only people read it. */
export type PaymentNotes = Pick<SagaRow, 'description' | 'metadata'>;

/** The facts from the stream itself, where the read model may be behind. */
export function factsOf({ payment, saga }: PaymentState, notes: PaymentNotes): PaymentFacts {
  return {
    payment_id: payment.id,
    customer_id: payment.customerId,
    method: payment.method,
    amount_minor: payment.amountMinor,
    currency: payment.currency,
    status: payment.status,
    reason: payment.reason,
    description: notes.description,
    metadata: notes.metadata,
    refunded_minor: payment.refundedMinor,
    saga_state: saga.state,
    attempt: saga.attempt,
    deadline_at: saga.deadlineAt,
    stuck_reason: saga.stuckReason,
    next_attempt_at: saga.nextAttemptAt,
    trace_id: payment.traceId,
    created_at: payment.createdAt,
    completed_at: payment.completedAt,
  };
}

export function refundView(row: Omit<RefundRow, 'method' | 'attempt' | 'deadline_at' | 'version'>): RefundView {
  return {
    id: row.refund_id,
    payment_id: row.payment_id,
    status: row.status,
    amount: toMajor(row.amount_minor, row.currency),
    amount_minor: row.amount_minor,
    currency: row.currency,
    reason: row.reason,
    error: row.error,
    requested_at: toTimestamp(row.requested_at),
    completed_at: timestampOrNull(row.completed_at),
    trace_id: row.trace_id,
  };
}

/** Every refund of a payment. How one ended, and why, is told by its row; one that has no row yet was just asked for. */
export function refundViews(payment: Payment, rows: readonly RefundRow[]): readonly RefundView[] {
  const byId = new Map(rows.map((row) => [row.refund_id, row]));
  return Object.keys(payment.refunds).map((id) => {
    const row = byId.get(id);
    return row === undefined ? requestedRefund(payment, id) : refundView(row);
  });
}

/** A refund as it was asked for. */
export function requestedRefund(payment: Payment, refundId: string): RefundView {
  const refund = payment.refunds[refundId]!;
  return refundView({
    refund_id: refundId,
    payment_id: payment.id,
    amount_minor: refund.amountMinor,
    currency: payment.currency,
    reason: refund.reason,
    status: 'PENDING',
    error: null,
    requested_at: refund.firstRequestedAt,
    completed_at: null,
    trace_id: payment.traceId,
  });
}

/**
 * The state of a payment as its stream has it now.
 * @throws RequestError `payment_not_found`
 */
export async function loadPayment(executor: Executor, id: string): Promise<PaymentState> {
  const { state, position } = await executor.load<PaymentState>(PAYMENT, id);
  if (position === 0) throw new RequestError('payment_not_found', 'there is no such payment');
  return state;
}
