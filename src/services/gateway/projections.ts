import { DataError } from '#kernel/core/errors.ts';
import type { PayloadOf, RecordedEvent } from '#kernel/core/event.ts';
import type { RowProjection } from '#kernel/core/projection.ts';
import type { TableDefinition } from '#kernel/core/table.ts';
import { fromTimestamp } from '#kernel/core/timestamp.ts';
import type { gatewayChargeRequested, gatewayRefundRequested } from '#services/payments/contract.ts';
import type {
  AnswerStatus,
  AttemptOutcome,
  gatewayAttemptRecorded,
  gatewayChargeAnswered,
  gatewayChargeSent,
  OperationKind,
} from './contract.ts';
import type { RequestedOperation } from './decider.ts';
import type { GatewayRequest } from './provider.ts';
import type { GatewaySettings } from './settings.ts';

/**
 * - `requested`: no attempt is recorded, but one may have been made
 * - `not_taken`: the attempts that are recorded certainly moved nothing
 * - `pending`: the gateway has it, and will tell
 * - `unknown`: whether money was moved is not known
 * - `answered`: final
 */
export type RowState = 'requested' | 'answered' | Exclude<AttemptOutcome, 'asked_again'>;

/** A charge or a refund at a gateway, as `gateway.operations` holds it. Times in milliseconds since 1970. */
export interface OperationRow extends RequestedOperation, GatewayRequest, Readonly<Record<string, unknown>> {
  readonly state: RowState;
  /** The final answer. */
  readonly status: AnswerStatus | null;
  readonly reason: string | null;
  readonly gateway_payment_id: string | null;
  readonly transaction_id: string | null;
  /** Attempts that decided nothing, and how many of them may have moved money. */
  readonly attempts: number;
  readonly calls: number;
  /** When it is due; null: answered. */
  readonly next_attempt_at: number | null;
  readonly updated_at: number;
}

const OPERATIONS: TableDefinition = {
  name: 'gateway.operations',
  columns: {
    id: 'uuid',
    kind: 'text',
    payment_id: 'uuid',
    idempotency_key: 'text',
    amount_minor: 'bigint',
    currency: 'text',
    payment_token: 'text',
    trace_id: 'text',
    requested_at: 'timestamptz',
    gateway: 'text',
    state: 'text',
    status: 'text',
    reason: 'text',
    gateway_payment_id: 'text',
    transaction_id: 'text',
    attempts: 'integer',
    calls: 'integer',
    next_attempt_at: 'timestamptz',
    updated_at: 'timestamptz',
  },
  key: ['id', 'kind'],
};

type Requested = PayloadOf<typeof gatewayChargeRequested> | PayloadOf<typeof gatewayRefundRequested>;

/**
 * The durable work list: written in the transaction in which a request is consumed, so that no charge can be forgotten.
 * A new row is leased to the process that consumes the request, which calls the gateway at once from memory.
 * Each event sets all that may have changed in the table since (leases do, see `queries.ts`).
 */
export function createOperationProjection(settings: GatewaySettings): RowProjection<OperationRow> {
  return {
    kind: 'rows',
    name: 'gateway.operations',
    table: OPERATIONS,
    events: [
      'gateway.charge.requested',
      'gateway.refund.requested',
      'gateway.charge.sent',
      'gateway.attempt.recorded',
      'gateway.charge.answered',
      'gateway.refund.answered',
    ],
    key: (event) => (isRequest(event) && isRepeated(event) ? undefined : keyOf(event)),
    startsRow: () => false,
    evolve: (row, event) => {
      if (isRequest(event)) return row ?? requestedRow(event, settings);
      if (row === undefined) throw new DataError(`${event.type} came before the request of the charge or refund`);
      return { ...row, ...changes(row, event, settings), updated_at: event.time };
    },
  };
}

function keyOf({ data }: RecordedEvent): readonly [id: string, kind: OperationKind] {
  return data.refund_id === undefined ? [data.payment_id, 'charge'] : [data.refund_id, 'refund'];
}

/** True for the messages that ask for a charge or a refund. */
export function isRequest(event: RecordedEvent): event is RecordedEvent<Requested> {
  return event.type === 'gateway.charge.requested' || event.type === 'gateway.refund.requested';
}

/**
 * True when the same charge or refund was asked for before: by an operator, or because no answer came in time. Such a
 * request goes through the decider: rows are written by events of their stream only, whose order cannot be lost.
 */
export function isRepeated(event: RecordedEvent<Requested>): boolean {
  return (event.data.attempt ?? 1) > 1;
}

/** The row of a charge or refund that is asked for the first time. */
export function requestedRow({ data, time }: RecordedEvent<Requested>, settings: GatewaySettings): OperationRow {
  const isRefund = 'refund_id' in data;
  return {
    id: isRefund ? data.refund_id : data.payment_id,
    kind: isRefund ? 'refund' : 'charge',
    payment_id: data.payment_id,
    idempotency_key: data.idempotency_key,
    amount_minor: data.amount_minor,
    currency: data.currency,
    payment_token: isRefund ? null : (data.payment_token ?? null),
    trace_id: data.trace_id,
    requested_at: fromTimestamp(data.requested_at),
    gateway: settings.gateway,
    state: 'requested',
    status: null,
    reason: null,
    gateway_payment_id: null,
    transaction_id: null,
    attempts: 0,
    calls: 0,
    next_attempt_at: time + settings.leaseMs,
    updated_at: time,
  };
}

function changes(
  row: OperationRow,
  { type, data, time }: RecordedEvent,
  settings: GatewaySettings,
): Partial<OperationRow> {
  switch (type) {
    case 'gateway.charge.sent': {
      const { gateway_payment_id }: PayloadOf<typeof gatewayChargeSent> = data;
      return {
        state: 'pending',
        gateway_payment_id: gateway_payment_id ?? null,
        next_attempt_at: time + settings.pendingRetry.initialMs,
      };
    }
    case 'gateway.attempt.recorded': {
      const { outcome, attempt, calls, reason, ...recorded }: PayloadOf<typeof gatewayAttemptRecorded> = data;
      const next_attempt_at = fromTimestamp(recorded.next_attempt_at);
      return outcome === 'asked_again'
        ? { next_attempt_at }
        : { state: outcome, attempts: attempt, calls, reason, next_attempt_at };
    }
    default:
      return data.status === 'TIMEOUT' ? timedOut(row, data) : answered(data);
  }
}

function timedOut(row: OperationRow, data: PayloadOf<typeof gatewayChargeAnswered>): Partial<OperationRow> {
  const next_attempt_at =
    data.next_attempt_at === undefined ? row.next_attempt_at : fromTimestamp(data.next_attempt_at);
  return { state: 'unknown', reason: data.reason, attempts: row.attempts + 1, calls: row.calls + 1, next_attempt_at };
}

function answered({ status, reason, transaction_id }: PayloadOf<typeof gatewayChargeAnswered>): Partial<OperationRow> {
  return { state: 'answered', status, reason, transaction_id: transaction_id ?? null, next_attempt_at: null };
}
