import type { EventOf, RecordedEvent } from '#kernel/core/event.ts';
import type { RowProjection } from '#kernel/core/projection.ts';
import type { TableDefinition } from '#kernel/core/table.ts';
import { fromTimestamp } from '#kernel/core/timestamp.ts';
import type { ProductStatus, productCreated, productDeleted, productUpdated } from '#services/catalog/contract.ts';
import type { PaymentMethod } from '#services/payments/contract.ts';
import type { Cancellation, PurchaseSagaState, PurchaseStatus } from './contract.ts';
import {
  evolvePurchase,
  NO_PURCHASE,
  nextDeadlineOf,
  type OpenRefund,
  type Purchase,
  type PurchaseEvent,
  type PurchaseLine,
  type PurchaseSettings,
  troubleOf,
} from './saga.ts';

/** What the catalog offers, as far as it is known here. Times in milliseconds since 1970. */
export type OfferRow = {
  readonly product_id: string;
  readonly sku: string;
  readonly name: string;
  readonly price_minor: number;
  readonly currency: string;
  readonly status: ProductStatus;
  readonly updated_at: number;
  /** The stream position of the last change. */
  readonly version: number;
};

/** The table of `OfferRow`. */
export const OFFER_TABLE: TableDefinition = {
  name: 'purchases.offers',
  columns: {
    product_id: 'uuid',
    sku: 'text',
    name: 'text',
    price_minor: 'bigint',
    currency: 'text',
    status: 'text',
    updated_at: 'timestamptz',
    version: 'bigint',
  },
  key: ['product_id'],
};

/** What can be bought, and for how much: written as the catalog's events are consumed. */
export const offers: RowProjection<OfferRow> = {
  kind: 'rows',
  name: 'offers',
  table: OFFER_TABLE,
  events: ['product.created', 'product.updated', 'product.deleted'],
  key: (event) => [event.aggregateId],
  startsRow: (event) => event.streamPosition === 1,
  evolve: (row, event) => offerRow(row, event as RecordedEvent & ProductEvent),
};

type ProductEvent = EventOf<typeof productCreated | typeof productUpdated | typeof productDeleted>;

function offerRow(row: OfferRow | undefined, event: RecordedEvent & ProductEvent): OfferRow {
  const version = event.streamPosition;
  if (event.type === 'product.deleted')
    return { ...row!, status: 'DELETED', updated_at: fromTimestamp(event.data.deleted_at), version };
  const { product_id, sku, name, price_minor, currency, status } = event.data;
  const updatedAt = event.type === 'product.created' ? event.data.created_at : event.data.updated_at;
  return { product_id, sku, name, price_minor, currency, status, updated_at: fromTimestamp(updatedAt), version };
}

/** A purchase and its saga as clients and operators read them. Times in milliseconds since 1970. */
export type PurchaseRow = {
  readonly purchase_id: string;
  readonly customer_id: string;
  readonly method: PaymentMethod;
  readonly amount_minor: number;
  readonly currency: string;
  readonly trace_id: string;
  readonly reference: string | null;
  readonly lines: readonly PurchaseLine[];
  readonly status: PurchaseStatus;
  readonly reason: Cancellation | null;
  readonly detail: string | null;
  readonly saga_state: PurchaseSagaState;
  readonly attempt: number;
  readonly step_deadline_at: number | null;
  readonly step_stuck_reason: string | null;
  readonly is_paid: boolean;
  readonly returns: number;
  readonly refund_count: number;
  readonly refunds: Readonly<Record<string, OpenRefund>>;
  readonly refunded_minor: number;
  readonly created_at: number;
  readonly completed_at: number | null;
  /** When the step or a refund must have been answered, the first of them; null: nothing is awaited. */
  readonly deadline_at: number | null;
  /** Why any of it takes longer than it should; null while all goes well. */
  readonly stuck_reason: string | null;
  /** The stream position of the last event folded. */
  readonly version: number;
};

/** The table of `PurchaseRow`. */
export const PURCHASE_TABLE: TableDefinition = {
  name: 'purchases.purchases',
  columns: {
    purchase_id: 'uuid',
    customer_id: 'text',
    method: 'text',
    amount_minor: 'bigint',
    currency: 'text',
    trace_id: 'text',
    reference: 'text',
    lines: 'jsonb',
    status: 'text',
    reason: 'text',
    detail: 'text',
    saga_state: 'text',
    attempt: 'integer',
    step_deadline_at: 'timestamptz',
    step_stuck_reason: 'text',
    is_paid: 'boolean',
    returns: 'integer',
    refund_count: 'integer',
    refunds: 'jsonb',
    refunded_minor: 'bigint',
    created_at: 'timestamptz',
    completed_at: 'timestamptz',
    deadline_at: 'timestamptz',
    stuck_reason: 'text',
    version: 'bigint',
  },
  key: ['purchase_id'],
};

/** One row per purchase: what its stream has come to, folded as for decisions, so that the two cannot differ. */
export function createPurchaseProjection(settings: PurchaseSettings): RowProjection<PurchaseRow> {
  return {
    kind: 'rows',
    name: 'purchases',
    table: PURCHASE_TABLE,
    events: [
      'purchase.created',
      'purchase.payment.requested',
      'purchase.confirmed',
      'purchase.completed',
      'purchase.cancelled',
      'purchase.returned',
      'purchase.refund.requested',
      'purchase.refunded',
      'purchase.refund.failed',
      'purchase.saga.advanced',
    ],
    key: (event) => [event.aggregateId],
    startsRow: (event) => event.type === 'purchase.created',
    evolve: (row, event) => {
      const before = row === undefined ? NO_PURCHASE : purchaseOf(row);
      return rowOf(evolvePurchase(before, event as RecordedEvent & PurchaseEvent, settings), event.streamPosition);
    },
    settled: (row) => row.deadline_at === null,
  };
}

/** The purchase that a row shows: without what only decisions need. */
export function purchaseOf(row: PurchaseRow): Purchase {
  return {
    id: row.purchase_id,
    customerId: row.customer_id,
    method: row.method,
    amountMinor: row.amount_minor,
    currency: row.currency,
    traceId: row.trace_id,
    paymentToken: null,
    reference: row.reference,
    lines: row.lines,
    status: row.status,
    reason: row.reason,
    detail: row.detail,
    state: row.saga_state,
    answers: {},
    attempt: row.attempt,
    deadlineAt: row.step_deadline_at,
    stuckReason: row.step_stuck_reason,
    isPaid: row.is_paid,
    returns: row.returns,
    refundCount: row.refund_count,
    refunds: row.refunds,
    refundedMinor: row.refunded_minor,
    createdAt: row.created_at,
    completedAt: row.completed_at,
  };
}

function rowOf(purchase: Purchase, version: number): PurchaseRow {
  return {
    purchase_id: purchase.id,
    customer_id: purchase.customerId,
    method: purchase.method,
    amount_minor: purchase.amountMinor,
    currency: purchase.currency,
    trace_id: purchase.traceId,
    reference: purchase.reference,
    lines: purchase.lines,
    status: purchase.status,
    reason: purchase.reason,
    detail: purchase.detail,
    saga_state: purchase.state,
    attempt: purchase.attempt,
    step_deadline_at: purchase.deadlineAt,
    step_stuck_reason: purchase.stuckReason,
    is_paid: purchase.isPaid,
    returns: purchase.returns,
    refund_count: purchase.refundCount,
    refunds: purchase.refunds,
    refunded_minor: purchase.refundedMinor,
    created_at: purchase.createdAt,
    completed_at: purchase.completedAt,
    deadline_at: nextDeadlineOf(purchase),
    stuck_reason: troubleOf(purchase),
    version,
  };
}
