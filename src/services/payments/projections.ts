import type { RecordedEvent } from '#kernel/core/event.ts';
import { invariant } from '#kernel/core/invariant.ts';
import type { RowProjection } from '#kernel/core/projection.ts';
import type { TableDefinition } from '#kernel/core/table.ts';
import { fromTimestamp } from '#kernel/core/timestamp.ts';
import type { PaymentMethod, PaymentStatus, SagaState } from './contract.ts';
import { deadlineOf, type PaymentEvent, type PaymentSettings, type RefundStatus } from './payment.decider.ts';
import { giveBackWait } from './refund.decider.ts';
import { evolveProgress, NO_PROGRESS, type SagaProgress } from './saga.ts';

/** A payment and its saga as clients and operators read them. Times in milliseconds since 1970. */
export type SagaRow = {
  readonly payment_id: string;
  readonly customer_id: string;
  readonly method: PaymentMethod;
  readonly amount_minor: number;
  readonly currency: string;
  readonly status: PaymentStatus;
  /** Why it ended as it did, a stable code; null while it is pending. */
  readonly reason: string | null;
  readonly description: string | null;
  readonly metadata: Readonly<Record<string, string>> | null;
  readonly refunded_minor: number;
  readonly refund_pending_minor: number;
  readonly saga_state: SagaState;
  readonly attempt: number;
  /** When the present step must have been answered; null when nothing is awaited. */
  readonly deadline_at: number | null;
  /** Why the step takes longer than it should; null while all goes well. */
  readonly stuck_reason: string | null;
  /** The outcome of the charge is unknown: when the gateway is asked again. */
  readonly next_attempt_at: number | null;
  readonly trace_id: string;
  readonly created_at: number;
  readonly updated_at: number;
  readonly completed_at: number | null;
  /** The stream position of the last event folded. */
  readonly version: number;
};

/** One refund as clients and operators read it. Times in milliseconds since 1970. */
export type RefundRow = {
  readonly refund_id: string;
  readonly payment_id: string;
  readonly method: PaymentMethod;
  readonly amount_minor: number;
  readonly currency: string;
  readonly reason: string;
  readonly status: RefundStatus;
  /** Why it failed, a stable code; else null. */
  readonly error: string | null;
  readonly attempt: number;
  readonly deadline_at: number | null;
  readonly trace_id: string;
  readonly requested_at: number;
  readonly completed_at: number | null;
  readonly version: number;
};

/** The table of `SagaRow`. */
export const SAGA_TABLE: TableDefinition = {
  name: 'payments.saga_projections',
  columns: {
    payment_id: 'uuid',
    customer_id: 'text',
    method: 'text',
    amount_minor: 'bigint',
    currency: 'text',
    status: 'text',
    reason: 'text',
    description: 'text',
    metadata: 'jsonb',
    refunded_minor: 'bigint',
    refund_pending_minor: 'bigint',
    saga_state: 'text',
    attempt: 'integer',
    deadline_at: 'timestamptz',
    stuck_reason: 'text',
    next_attempt_at: 'timestamptz',
    trace_id: 'text',
    created_at: 'timestamptz',
    updated_at: 'timestamptz',
    completed_at: 'timestamptz',
    version: 'bigint',
  },
  key: ['payment_id'],
};

/** The table of `RefundRow`. */
export const REFUND_TABLE: TableDefinition = {
  name: 'payments.refunds',
  columns: {
    refund_id: 'uuid',
    payment_id: 'uuid',
    method: 'text',
    amount_minor: 'bigint',
    currency: 'text',
    reason: 'text',
    status: 'text',
    error: 'text',
    attempt: 'integer',
    deadline_at: 'timestamptz',
    trace_id: 'text',
    requested_at: 'timestamptz',
    completed_at: 'timestamptz',
    version: 'bigint',
  },
  key: ['refund_id'],
};

/** One row per payment. The deadlines of its refunds are in the rows of `payments.refunds`. */
export function createSagaProjection(settings: PaymentSettings): RowProjection<SagaRow> {
  return {
    kind: 'rows',
    name: 'saga_projections',
    table: SAGA_TABLE,
    events: [
      'payments.created',
      'wallet.debit.requested',
      'wallet.credit.requested',
      'gateway.charge.requested',
      'gateway.refund.requested',
      'payments.saga.advanced',
      'payments.approved',
      'payments.declined',
      'payments.failed',
      'payments.refund.requested',
      'payments.refunded',
      'payments.refund.failed',
    ],
    key: (event) => (isGiveBack(event) && event.data.reason !== 'compensation' ? undefined : [event.aggregateId]),
    startsRow: (event) => event.type === 'payments.created',
    evolve: (row, event) => evolveSagaRow(row, event, settings),
    settled: (row) => row.deadline_at === null,
  };
}

/** One row per refund; compensations are no refunds. */
export function createRefundProjection(settings: PaymentSettings): RowProjection<RefundRow> {
  return {
    kind: 'rows',
    name: 'refunds',
    table: REFUND_TABLE,
    events: [
      'payments.refund.requested',
      'wallet.credit.requested',
      'gateway.refund.requested',
      'payments.refunded',
      'payments.refund.failed',
    ],
    key: (event) => (isGiveBack(event) && event.data.reason === 'compensation' ? undefined : [event.data.refund_id]),
    startsRow: (event) => event.type === 'payments.refund.requested',
    evolve: (row, event) => evolveRefundRow(row, event, settings),
  };
}

function isGiveBack({ type }: RecordedEvent): boolean {
  return type === 'wallet.credit.requested' || type === 'gateway.refund.requested';
}

function evolveSagaRow(before: SagaRow | undefined, recorded: RecordedEvent, settings: PaymentSettings): SagaRow {
  const event = recorded as RecordedEvent & PaymentEvent;
  const row = event.type === 'payments.created' ? createdRow(event.data, event.time) : before;
  invariant(row !== undefined, 'the row of a payment starts with payments.created');
  const progress = evolveProgress(progressOf(row), event, settings);
  const moved = {
    ...row,
    saga_state: progress.state,
    attempt: progress.attempt,
    deadline_at: progress.deadlineAt,
    stuck_reason: progress.stuckReason,
    next_attempt_at: progress.nextAttemptAt,
    updated_at: recorded.time,
    version: recorded.streamPosition,
  };
  switch (event.type) {
    case 'payments.approved':
    case 'payments.declined':
    case 'payments.failed': {
      const { status, reason, completed_at } = event.data;
      return { ...moved, status, reason, completed_at: fromTimestamp(completed_at) };
    }
    case 'payments.refund.requested':
      return { ...moved, refund_pending_minor: row.refund_pending_minor + event.data.amount_minor };
    case 'payments.refunded': {
      const { status, refunded_minor, amount_minor } = event.data;
      return { ...moved, status, refunded_minor, refund_pending_minor: row.refund_pending_minor - amount_minor };
    }
    case 'payments.refund.failed':
      return { ...moved, refund_pending_minor: row.refund_pending_minor - event.data.amount_minor };
    default:
      return moved;
  }
}

function progressOf(row: SagaRow): SagaProgress {
  return {
    state: row.saga_state,
    attempt: row.attempt,
    deadlineAt: row.deadline_at,
    stuckReason: row.stuck_reason,
    nextAttemptAt: row.next_attempt_at,
  };
}

/** The card token is left out: nobody reads it again. */
function createdRow(data: (PaymentEvent & { type: 'payments.created' })['data'], time: number): SagaRow {
  return {
    payment_id: data.id,
    customer_id: data.customer_id,
    method: data.method,
    amount_minor: data.amount_minor,
    currency: data.currency,
    status: data.status,
    reason: null,
    description: data.description ?? null,
    metadata: data.metadata ?? null,
    refunded_minor: 0,
    refund_pending_minor: 0,
    saga_state: NO_PROGRESS.state,
    attempt: NO_PROGRESS.attempt,
    deadline_at: null,
    stuck_reason: null,
    next_attempt_at: null,
    trace_id: data.trace_id,
    created_at: fromTimestamp(data.created_at),
    updated_at: time,
    completed_at: null,
    version: 1,
  };
}

function evolveRefundRow(row: RefundRow | undefined, recorded: RecordedEvent, settings: PaymentSettings): RefundRow {
  const event = recorded as RecordedEvent & PaymentEvent;
  const version = recorded.streamPosition;
  if (event.type === 'payments.refund.requested') return requestedRow(event.data, version, settings);
  invariant(row !== undefined, 'the row of a refund starts with payments.refund.requested');
  switch (event.type) {
    case 'wallet.credit.requested':
    case 'gateway.refund.requested': {
      const { attempt = 1, requested_at } = event.data;
      const deadline_at = deadlineOf(
        fromTimestamp(requested_at),
        giveBackWait(row.method, settings),
        attempt,
        settings,
      );
      return { ...row, attempt, deadline_at, version };
    }
    case 'payments.refunded':
      return settledRow(row, 'SUCCEEDED', null, event.data.completed_at, version);
    case 'payments.refund.failed':
      return settledRow(row, 'FAILED', event.data.error, event.data.completed_at, version);
    default:
      return row;
  }
}

function settledRow(
  row: RefundRow,
  status: RefundStatus,
  error: string | null,
  at: string,
  version: number,
): RefundRow {
  return { ...row, status, error, deadline_at: null, completed_at: fromTimestamp(at), version };
}

function requestedRow(
  data: (PaymentEvent & { type: 'payments.refund.requested' })['data'],
  version: number,
  settings: PaymentSettings,
): RefundRow {
  const requestedAt = fromTimestamp(data.requested_at);
  return {
    refund_id: data.refund_id,
    payment_id: data.payment_id,
    method: data.method,
    amount_minor: data.amount_minor,
    currency: data.currency,
    reason: data.reason,
    status: 'PENDING',
    error: null,
    attempt: 1,
    deadline_at: deadlineOf(requestedAt, giveBackWait(data.method, settings), 1, settings),
    trace_id: data.trace_id,
    requested_at: requestedAt,
    completed_at: null,
    version,
  };
}
