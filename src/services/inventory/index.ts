import type { RecordedEvent } from '#kernel/core/event.ts';
import { fromTimestamp } from '#kernel/core/timestamp.ts';
import type { LookBack, Reaction, ServiceDefinition } from '#kernel/processor/service.ts';
import {
  reservationDeclined,
  STOCK,
  stockCommitted,
  stockLow,
  stockOut,
  stockReleased,
  stockReserved,
  stockUpdated,
} from './contract.ts';
import { createStockDecider, type StockCommand, type StockSettings } from './decider.ts';
import { reservations, stock } from './projections.ts';

/** The inventory service: how much there is of each product, and what of it is kept for purchases. */
export function inventoryService(settings: StockSettings): ServiceDefinition {
  return {
    name: 'inventory',
    produces: [stockUpdated, stockLow, stockOut, stockReserved, reservationDeclined, stockReleased, stockCommitted],
    deciders: [createStockDecider(settings)],
    reactions: {
      'purchase.created': (event) => {
        const notAfter = fromTimestamp(event.data.reserve_until);
        return forEach(event, event.data.lines, { type: 'ReserveStock', notAfter }, RESERVE_ANSWERS);
      },
      'purchase.confirmed': (event) => forEach(event, event.data.lines, { type: 'CommitStock' }, COMMIT_ANSWERS),
      'purchase.cancelled': (event) => [
        ...forEach(event, event.data.release, { type: 'ReleaseStock' }, RELEASE_ANSWERS),
        ...returns(event),
      ],
      'purchase.returned': returns,
    },
    inline: [stock],
    projections: [reservations],
    dlqTopic: 'commerce.dlq',
  };
}

interface Units {
  readonly product_id: string;
  readonly quantity: number;
}

const RESERVE_ANSWERS = ['inventory.reserved', 'inventory.reservation.declined'];
const COMMIT_ANSWERS = ['inventory.committed', 'inventory.reservation.declined'];
const RELEASE_ANSWERS = ['inventory.released'];

/** A command for each product: they are decided apart from each other. */
function forEach(
  { type: request, data }: RecordedEvent,
  units: readonly Units[],
  what:
    | { readonly type: 'ReserveStock'; readonly notAfter: number }
    | { readonly type: 'CommitStock' | 'ReleaseStock' },
  answers: readonly string[],
): readonly Reaction[] {
  const { purchase_id: purchaseId, trace_id: traceId } = data;
  return units.map(({ product_id: productId, quantity }) => {
    const command: StockCommand = { ...what, productId, purchaseId, quantity, traceId };
    const lookBack: LookBack = {
      key: `${what.type} ${productId} ${purchaseId}`,
      repeated: false,
      isRequest: (event) => event.type === request,
      isAnswer: (event) => event.data.purchase_id === purchaseId && answers.includes(event.type),
    };
    return { aggregate: STOCK, id: productId, command, lookBack };
  });
}

function returns({ type: request, data }: RecordedEvent): readonly Reaction[] {
  const { purchase_id: purchaseId, trace_id: traceId, return_number: returnNumber } = data;
  return (data.restock as readonly Units[]).map(({ product_id: productId, quantity }) => {
    const command: StockCommand = { type: 'ReturnStock', productId, purchaseId, quantity, returnNumber, traceId };
    const lookBack: LookBack = {
      key: `return ${returnNumber} ${productId} ${purchaseId}`,
      repeated: false,
      isRequest: (event) => event.type === request && event.data.return_number === returnNumber,
      isAnswer: (event) => event.data.purchase_id === purchaseId && event.data.return_number === returnNumber,
    };
    return { aggregate: STOCK, id: productId, command, lookBack };
  });
}
