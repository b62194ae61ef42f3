import type { RecordedEvent } from '#kernel/core/event.ts';
import type { RowProjection } from '#kernel/core/projection.ts';
import type { TableDefinition } from '#kernel/core/table.ts';
import { fromTimestamp } from '#kernel/core/timestamp.ts';
import { isLow, isOut, type StockEvent, type StockState, stockDecider } from './decider.ts';

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
  events: ['inventory.stock.updated', 'inventory.stock.low', 'inventory.stock.out'],
  key: (event) => [event.aggregateId],
  startsRow: (event) => event.streamPosition === 1,
  evolve: evolveRow,
};

/** The stock that a row shows. */
export function stockOf(row: StockRow): StockState {
  return { onHand: row.on_hand, reserved: row.reserved, threshold: row.threshold, updatedAt: row.updated_at };
}

function evolveRow(row: StockRow | undefined, recorded: RecordedEvent): StockRow {
  const event = recorded as RecordedEvent & StockEvent;
  const after = stockDecider.evolve(row === undefined ? stockDecider.initial : stockOf(row), event);
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
