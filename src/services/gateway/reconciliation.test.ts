import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BelievedCharge } from './queries.ts';
import { type RecordedCharge, reconcile } from './reconciliation.ts';

const recorded = (fields: Partial<RecordedCharge> = {}): RecordedCharge => ({
  reference: 'p1',
  currency: 'USD',
  amount_minor: 1_000,
  taken: true,
  refunded_minor: 0,
  ...fields,
});
const believed = (fields: Partial<BelievedCharge> = {}): BelievedCharge => ({
  payment_id: 'p1',
  currency: 'USD',
  taken_minor: 1_000,
  refunded_minor: 0,
  open: false,
  ...fields,
});

test('what both sides say alike is no discrepancy', () => {
  assert.deepEqual(reconcile([], []), []);
  assert.deepEqual(reconcile([recorded()], [believed()]), []);
  assert.deepEqual(reconcile([recorded({ refunded_minor: 300 })], [believed({ refunded_minor: 300 })]), []);
});

test('a declined charge equals a payment of which nothing was taken, or none at all', () => {
  assert.deepEqual(reconcile([recorded({ taken: false })], [believed({ taken_minor: 0 })]), []);
  assert.deepEqual(reconcile([recorded({ taken: false })], []), []);
  assert.deepEqual(reconcile([], [believed({ taken_minor: 0 })]), []);
});

test('money that only one side knows of is named, with both sides', () => {
  const empty = { taken: {}, refunded: {} };
  const taken = { taken: { USD: 1_000 }, refunded: {} };
  assert.deepEqual(reconcile([recorded()], []), [{ payment_id: 'p1', gateway: taken, platform: empty, open: false }]);
  assert.deepEqual(reconcile([], [believed()]), [{ payment_id: 'p1', gateway: empty, platform: taken, open: false }]);
});

test('other amounts, currencies and refunds, and charges made twice, are named', () => {
  const cases: readonly [RecordedCharge[], BelievedCharge[]][] = [
    [[recorded({ amount_minor: 1_001 })], [believed()]],
    [[recorded({ currency: 'EUR' })], [believed()]],
    [[recorded({ refunded_minor: 1 })], [believed()]],
    [[recorded()], [believed({ refunded_minor: 1 })]],
    [[recorded(), recorded()], [believed()]],
  ];
  for (const [charges, platform] of cases) {
    assert.deepEqual(
      reconcile(charges, platform).map(({ payment_id }) => payment_id),
      ['p1'],
    );
  }
});

test('a discrepancy that may still settle says so, and they come in order', () => {
  const found = reconcile([recorded({ reference: 'p2' }), recorded()], [believed({ taken_minor: 0, open: true })]);
  assert.deepEqual(
    found.map(({ payment_id, open }) => [payment_id, open]),
    [
      ['p1', true],
      ['p2', false],
    ],
  );
});
