import { type Static, Type } from '@sinclair/typebox';
import { oneOf } from '#kernel/core/schemas.ts';
import { toTimestamp } from '#kernel/core/timestamp.ts';
import { levelsData, type StockLevels } from './levels.decider.ts';
import type { StockRow } from './projections.ts';

const levels = {
  product_id: Type.String(),
  on_hand: Type.Integer({ description: 'units in the house' }),
  reserved: Type.Integer({ description: 'of these, promised to purchases that are not paid yet' }),
  available: Type.Integer({ description: 'on_hand less reserved' }),
  threshold: Type.Integer({ description: 'with so few available units stock is low; 0: never' }),
};

export const stockSchema = Type.Object({ ...levels, updated_at: Type.String() });

export const alertSchema = Type.Object({
  kind: oneOf(['LOW', 'OUT'], 'OUT: no unit is available'),
  ...levels,
  since: Type.String(),
});

export function stockView(productId: string, stock: StockLevels): Static<typeof stockSchema> {
  return { ...levelsData(productId, stock), updated_at: toTimestamp(stock.updatedAt) };
}

/** @param stock the stock that the row shows */
export function alertView(row: StockRow, stock: StockLevels): Static<typeof alertSchema> {
  const { product_id, low_since, out_since, updated_at } = row;
  return {
    kind: out_since === null ? 'LOW' : 'OUT',
    ...levelsData(product_id, stock),
    since: toTimestamp(out_since ?? low_since ?? updated_at),
  };
}
