import assert from 'node:assert/strict';
import { test } from 'node:test';
import { finalPayment } from '../../support/money.ts';
import { startPlatform } from '../../support/platform.ts';

const { api } = await startPlatform();
const PAYMENT = { amount: '1.00', currency: 'USD', method: 'credit_card', customer_id: 'customer-1' };

test('each payment of a batch has its own result, in the order of the request', async () => {
  const { status, body } = await api.post('/payments/batch', {
    payments: [
      PAYMENT,
      { ...PAYMENT, amount: 0 },
      { ...PAYMENT, payment_token: 'tok_declined' },
      {},
      'nothing',
      { ...PAYMENT, x: 1 },
    ],
  });
  assert.equal(status, 200);
  const results: readonly { status: number; payment?: { id: string }; error?: { code: string; errors: unknown[] } }[] =
    body.data;
  assert.deepEqual(
    results.map((result) => result.status),
    [201, 422, 201, 422, 422, 422],
  );
  assert.equal(results[1]!.error!.code, 'amount_not_positive');
  assert.equal(results[3]!.error!.errors.length, 4);
  assert.equal((await finalPayment(api, results[0]!.payment!.id)).status, 'APPROVED');
  assert.equal((await finalPayment(api, results[2]!.payment!.id)).status, 'DECLINED');
});

test('a thousand payments at once all reach their end; one more is refused', async () => {
  const payments = Array.from({ length: 1000 }, (_, i) => ({ ...PAYMENT, customer_id: `customer-${i}` }));
  const { status, body } = await api.post('/payments/batch', { payments });
  assert.equal(status, 200);
  const ids = new Set<string>(body.data.map(({ payment }: { payment: { id: string } }) => payment.id));
  assert.equal(ids.size, 1000);
  for (const id of ids) assert.equal((await finalPayment(api, id)).status, 'APPROVED');
  for (const wrong of [[...payments, PAYMENT], []]) {
    const refused = await api.post('/payments/batch', { payments: wrong });
    assert.deepEqual([refused.status, refused.body.code], [422, 'invalid_request']);
  }
});
