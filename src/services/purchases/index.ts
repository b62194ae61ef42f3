import type { RecordedEvent } from '#kernel/core/event.ts';
import type { Reaction, ServiceDefinition } from '#kernel/processor/service.ts';
import {
  type Cancellation,
  PURCHASE,
  purchaseCancelled,
  purchaseCompleted,
  purchaseConfirmed,
  purchaseCreated,
  purchaseIdOf,
  purchasePaymentRequested,
  purchaseRefunded,
  purchaseRefundFailed,
  purchaseRefundRequested,
  purchaseReturned,
  purchaseSagaAdvanced,
} from './contract.ts';
import { createPurchaseDecider, type PurchaseCommand } from './decider.ts';
import { createPurchaseProjection, offers } from './projections.ts';
import type { PurchaseSettings } from './saga.ts';

/** The purchases service: orders, and the saga that carries each over inventory and payments. */
export function purchasesService(settings: PurchaseSettings): ServiceDefinition {
  return {
    name: 'purchases',
    produces: [
      purchaseCreated,
      purchasePaymentRequested,
      purchaseConfirmed,
      purchaseCompleted,
      purchaseCancelled,
      purchaseReturned,
      purchaseRefundRequested,
      purchaseRefunded,
      purchaseRefundFailed,
      purchaseSagaAdvanced,
    ],
    deciders: [createPurchaseDecider(settings)],
    reactions: {
      'inventory.reserved': ({ aggregateId, data }) =>
        tell(data.purchase_id, { type: 'StockReserved', productId: aggregateId }),
      'inventory.committed': ({ aggregateId, data }) =>
        tell(data.purchase_id, { type: 'StockCommitted', productId: aggregateId }),
      'inventory.reservation.declined': ({ aggregateId, data }) =>
        tell(data.purchase_id, { type: 'StockDeclined', productId: aggregateId, reason: data.reason }),
      'payments.approved': ({ data }) => tell(purchaseIdOf(data.id), { type: 'PaymentApproved' }),
      'payments.declined': (event) => paymentRefused(event, 'payment_declined'),
      'payments.failed': (event) => paymentRefused(event, 'payment_failed'),
      'payments.refunded': ({ data }) =>
        tell(purchaseIdOf(data.payment_id), {
          type: 'RefundMade',
          refundId: data.refund_id,
          amountMinor: data.amount_minor,
          refundedMinor: data.refunded_minor,
        }),
      'payments.refund.failed': ({ data }) =>
        tell(purchaseIdOf(data.payment_id), { type: 'RefundFailed', refundId: data.refund_id, reason: data.error }),
      // No command follows from these: they are consumed for what is on offer alone.
      'product.created': nothing,
      'product.updated': nothing,
      'product.deleted': nothing,
    },
    inline: [offers],
    projections: [createPurchaseProjection(settings)],
    dlqTopic: 'commerce.dlq',
  };
}

function nothing(): readonly Reaction[] {
  return [];
}

/** A command for the purchase, unless the message concerns none: most payments are for no purchase. */
function tell(purchaseId: string | undefined, command: PurchaseCommand): readonly Reaction[] {
  return purchaseId === undefined ? [] : [{ aggregate: PURCHASE, id: purchaseId, command }];
}

function paymentRefused({ data }: RecordedEvent, cancellation: Cancellation): readonly Reaction[] {
  return tell(purchaseIdOf(data.id), { type: 'PaymentRefused', cancellation, reason: data.reason });
}
