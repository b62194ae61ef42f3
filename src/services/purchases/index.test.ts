import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recorded } from '../../../tests/support/recorded.ts';
import { productIdOf } from '../catalog/contract.ts';
import { PURCHASE } from './contract.ts';
import { purchasesService } from './index.ts';
import { type OfferRow, offers } from './projections.ts';
import { DEFAULT_PURCHASE_SETTINGS } from './saga.ts';

const service = purchasesService(DEFAULT_PURCHASE_SETTINGS);
const PURCHASE_ID = '01890a5d-ac96-774b-bcce-b302099a8057';
const PAYMENT_ID = '01890a5d-ac96-874b-bcce-b302099a8057';
/** The payment of no purchase. */
const OTHER_PAYMENT = '01890a5d-ac96-774b-bcce-b302099a8058';
const CUP = productIdOf('CUP-1');
const REFUND = '01890a5d-ac96-874b-bcce-b302099a8059';

/** A message, and the command that it leads to; undefined: none. */
const REACTIONS: readonly (readonly [type: string, data: object, command: object | undefined])[] = [
  ['inventory.reserved', { purchase_id: PURCHASE_ID }, { type: 'StockReserved', productId: CUP }],
  ['inventory.committed', { purchase_id: PURCHASE_ID }, { type: 'StockCommitted', productId: CUP }],
  [
    'inventory.reservation.declined',
    { purchase_id: PURCHASE_ID, reason: 'out_of_stock' },
    { type: 'StockDeclined', productId: CUP, reason: 'out_of_stock' },
  ],
  ['payments.approved', { id: PAYMENT_ID }, { type: 'PaymentApproved' }],
  ['payments.approved', { id: OTHER_PAYMENT }, undefined],
  [
    'payments.declined',
    { id: PAYMENT_ID, reason: 'insufficient_funds' },
    { type: 'PaymentRefused', cancellation: 'payment_declined', reason: 'insufficient_funds' },
  ],
  ['payments.declined', { id: OTHER_PAYMENT, reason: 'insufficient_funds' }, undefined],
  [
    'payments.failed',
    { id: PAYMENT_ID, reason: 'wallet_timeout' },
    { type: 'PaymentRefused', cancellation: 'payment_failed', reason: 'wallet_timeout' },
  ],
  [
    'payments.refunded',
    { payment_id: PAYMENT_ID, refund_id: REFUND, amount_minor: 5, refunded_minor: 15 },
    { type: 'RefundMade', refundId: REFUND, amountMinor: 5, refundedMinor: 15 },
  ],
  ['payments.refunded', { payment_id: OTHER_PAYMENT, refund_id: REFUND }, undefined],
  [
    'payments.refund.failed',
    { payment_id: PAYMENT_ID, refund_id: REFUND, error: 'card_expired' },
    { type: 'RefundFailed', refundId: REFUND, reason: 'card_expired' },
  ],
  ['product.created', { product_id: CUP }, undefined],
  ['product.updated', { product_id: CUP }, undefined],
  ['product.deleted', { product_id: CUP }, undefined],
];

for (const [type, data, command] of REACTIONS) {
  test(`${type} ${JSON.stringify(data)} leads to ${JSON.stringify(command)}`, () => {
    const [event] = recorded('elsewhere', CUP, [{ type, data }]);
    const expected = command === undefined ? [] : [{ aggregate: PURCHASE, id: PURCHASE_ID, command }];
    assert.deepEqual(service.reactions[type]?.(event!), expected);
  });
}

test('every message that it consumes is tested', () => {
  assert.deepEqual(Object.keys(service.reactions).sort(), [...new Set(REACTIONS.map(([type]) => type))].sort());
});

test('what is on offer follows the catalog', () => {
  const product = { product_id: CUP, sku: 'CUP-1', name: 'Tea cup', price: 4.25, price_minor: 425, currency: 'GBP' };
  const at = '2026-11-22T10:00:00.000Z';
  const log = recorded('product', CUP, [
    { type: 'product.created', data: { ...product, status: 'ACTIVE', created_at: at } },
    { type: 'product.updated', data: { ...product, price_minor: 395, status: 'INACTIVE', updated_at: at } },
    { type: 'product.deleted', data: { product_id: CUP, sku: 'CUP-1', deleted_at: at } },
  ]);
  const rows: OfferRow[] = [];
  for (const event of log) rows.push(offers.evolve(rows.at(-1), event));
  assert.deepEqual(
    rows.map(({ price_minor, status, version }) => [price_minor, status, version]),
    [
      [425, 'ACTIVE', 1],
      [395, 'INACTIVE', 2],
      [395, 'DELETED', 3],
    ],
  );
});
