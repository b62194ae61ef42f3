import type { EventOf, RecordedEvent } from '#kernel/core/event.ts';
import type { RowProjection } from '#kernel/core/projection.ts';
import type { TableDefinition } from '#kernel/core/table.ts';
import { fromTimestamp } from '#kernel/core/timestamp.ts';
import type { stockCommitted, stockReleased, stockReserved } from './contract.ts';
import type { LevelEvent, StockLevels } from './levels.decider.ts';
import { evolveLevels, isLow, isOut, NO_LEVELS } from './levels.decider.ts';

/** The stock of a product as it is read. Times in milliseconds since 1970. */
export type StockRow = {
  readonly product_id: string;
  readonly on_hand: number;
  readonly reserved: number;
  readonly threshold: number;
  /** Since when there are no more available units than the threshold; null: there are more. */
  readonly low_since: number | null;
  /** Since when no unit is available; null: some are. */
  readonly out_since: number | null;
  readonly updated_at: number;
  /** The stream position of the last event. */
  readonly version: number;
};

/** The table of `StockRow`. */
export const STOCK_TABLE: TableDefinition = {
  name: 'inventory.stock',
  columns: {
    product_id: 'uuid',
    on_hand: 'bigint',
    reserved: 'bigint',
    threshold: 'bigint',
    low_since: 'timestamptz',
    out_since: 'timestamptz',
    updated_at: 'timestamptz',
    version: 'bigint',
  },
  key: ['product_id'],
};

/** Stock, written with its changes: what is read is what was decided. */
export const stock: RowProjection<StockRow> = {
  kind: 'rows',
  name: 'stock',
  table: STOCK_TABLE,
  events: [
    'inventory.stock.updated',
    'inventory.stock.low',
    'inventory.stock.out',
    'inventory.reserved',
    'inventory.released',
    'inventory.committed',
  ],
  key: (event) => [event.aggregateId],
  startsRow: (event) => event.streamPosition === 1,
  evolve: evolveStock,
};

/** What was asked of a product's stock for a purchase. Times in milliseconds since 1970. */
export type ReservationRow = {
  readonly product_id: string;
  readonly purchase_id: string;
  readonly quantity: number;
  readonly status: ReservationStatus;
  /** Until when the units are kept; null when they are not any more. */
  readonly expires_at: number | null;
  readonly updated_at: number;
  /** The stream position of the last event. */
  readonly version: number;
};

export type ReservationStatus = 'OPEN' | 'COMMITTED' | 'CANCELLED' | 'EXPIRED';

/** The table of `ReservationRow`. */
export const RESERVATION_TABLE: TableDefinition = {
  name: 'inventory.reservations',
  columns: {
    product_id: 'uuid',
    purchase_id: 'uuid',
    quantity: 'bigint',
    status: 'text',
    expires_at: 'timestamptz',
    updated_at: 'timestamptz',
    version: 'bigint',
  },
  key: ['product_id', 'purchase_id'],
};

/** One row for each product of each purchase that got units of it. */
export const reservations: RowProjection<ReservationRow> = {
  kind: 'rows',
  name: 'reservations',
  table: RESERVATION_TABLE,
  events: ['inventory.reserved', 'inventory.released', 'inventory.committed'],
  key: (event) => [event.aggregateId, event.data.purchase_id],
  startsRow: (event) => event.type === 'inventory.reserved',
  evolve: (_row, event) => reservationRow(event as RecordedEvent & ReservationEvent),
  settled: (row) => row.status !== 'OPEN',
};

type ReservationEvent = EventOf<typeof stockReserved | typeof stockReleased | typeof stockCommitted>;

function reservationRow(event: RecordedEvent & ReservationEvent): ReservationRow {
  const { purchase_id, lines, at } = event.data;
  return {
    product_id: event.aggregateId,
    purchase_id,
    quantity: lines[0]!.quantity,
    status: statusAfter(event),
    expires_at: event.type === 'inventory.reserved' ? fromTimestamp(event.data.expires_at) : null,
    updated_at: fromTimestamp(at),
    version: event.streamPosition,
  };
}

function statusAfter(event: ReservationEvent): ReservationStatus {
  if (event.type === 'inventory.reserved') return 'OPEN';
  if (event.type === 'inventory.committed') return 'COMMITTED';
  return event.data.reason === 'expired' ? 'EXPIRED' : 'CANCELLED';
}

/** The stock that a row shows. */
export function stockOf(row: StockRow): StockLevels {
  return { onHand: row.on_hand, reserved: row.reserved, threshold: row.threshold, updatedAt: row.updated_at };
}

function evolveStock(row: StockRow | undefined, recorded: RecordedEvent): StockRow {
  const event = recorded as RecordedEvent & LevelEvent;
  const after = evolveLevels(row === undefined ? NO_LEVELS : stockOf(row), event);
  const since = {
    low: event.type === 'inventory.stock.low' ? fromTimestamp(event.data.at) : (row?.low_since ?? null),
    out: event.type === 'inventory.stock.out' ? fromTimestamp(event.data.at) : (row?.out_since ?? null),
  };
  return {
    product_id: event.data.product_id,
    on_hand: after.onHand,
    reserved: after.reserved,
    threshold: after.threshold,
    low_since: isLow(after) ? since.low : null,
    out_since: isOut(after) ? since.out : null,
    updated_at: after.updatedAt,
    version: event.streamPosition,
  };
}
