import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { assertLedgerBalanced, balanceOf, newUser, refund, walletWith } from '../../support/money.ts';
import { startPlatform } from '../../support/platform.ts';
import { until } from '../../support/until.ts';

// Short enough for the slow card of the simulator, which takes three seconds.
const platform = await startPlatform({ RESERVATION_TTL_MS: '2000' });
const { api } = platform;
const BUYERS = 64;
const RACES = 3;
const WAIT = { prefer: 'wait=20' };

/** Puts a new product on sale. @returns its SKU */
async function sell(price: string, units: number, currency = 'USD'): Promise<string> {
  const sku = `CUP-${randomUUID().slice(0, 8)}`;
  const created = await api.post('/api/v1/products', { sku, name: 'Tea cup', price, currency });
  assert.equal(created.status, 201, created.text);
  const stocked = await api.post(`/api/v1/inventory/${sku}/adjustments`, { change: units, reason: 'test' });
  assert.equal(stocked.status, 201, stocked.text);
  return sku;
}

const line = (sku: string, quantity: number, more: object = {}) => ({ product_id: sku, quantity, ...more });

function order(customer: string, lines: readonly object[], more: object = {}, headers: Record<string, string> = WAIT) {
  return api.post('/api/v1/purchases', { customer_id: customer, method: 'wallet', lines, ...more }, headers);
}

/** Buys, and waits for the end. @returns the purchase */
async function buy(customer: string, lines: readonly object[], more: object = {}) {
  const bought = await order(customer, lines, more);
  assert.equal(bought.status, 201, bought.text);
  return bought.body.completed_at === null ? ended(bought.body.id) : bought.body;
}

const show = async (id: string) => (await api.get(`/api/v1/purchases/${id}`)).body;

async function ended(id: string) {
  await until(`purchase ${id} has ended`, async () => (await show(id)).completed_at !== null);
  return show(id);
}

const cancel = (id: string, more: object = {}) =>
  api.post(`/api/v1/purchases/${id}/cancel`, { reason: 'test', ...more });

const stockOf = async (sku: string) => {
  const { on_hand, reserved, available } = (await api.get(`/api/v1/inventory/${sku}`)).body;
  return [on_hand, reserved, available];
};

/** Waits until so much of a purchase was given back. */
const refunded = (id: string, minor: number) =>
  until(`${minor} of purchase ${id} are refunded`, async () => (await show(id)).refunded_minor === minor);

// On Kafka the services still join their groups when the API answers already.
const first = await sell('1.00', 1);
await until('what the catalog tells has arrived', async () => {
  const { status } = await order(newUser(), [line(first, 1)], { method: 'credit_card', payment_token: 'tok_declined' });
  return status === 201;
});

test('products are reserved, paid from the wallet, and leave the house', async () => {
  const [cup, pot] = [await sell('4.25', 10), await sell('20.00', 5)];
  const user = await walletWith(api, '100.00');
  const purchase = await buy(user, [line(cup, 2), line(pot, 1, { unit_price: '20.00' })]);
  assert.deepEqual([purchase.status, purchase.amount_minor, purchase.reason], ['COMPLETED', 2850, null]);
  assert.deepEqual(
    purchase.lines.map((each: Record<string, unknown>) => [each.sku, each.quantity, each.amount_minor]),
    [
      [cup, 2, 850],
      [pot, 1, 2000],
    ],
  );
  assert.deepEqual(
    [await stockOf(cup), await stockOf(pot)],
    [
      [8, 0, 8],
      [4, 0, 4],
    ],
  );
  assert.equal(await balanceOf(api, user), 7150);
  const payment = await api.get(`/payments/${purchase.payment_id}`);
  assert.deepEqual([payment.body.status, payment.body.metadata], ['APPROVED', { purchase_id: purchase.id }]);
  assert.deepEqual(await show(purchase.id), purchase);
  await until('it is listed', async () => {
    const { body } = await api.get(`/api/v1/purchases?customer_id=${user}&status=COMPLETED`);
    return body.data[0]?.id === purchase.id;
  });
  await assertLedgerBalanced(api);
});

test('a card pays, and no wallet is touched', async () => {
  const cup = await sell('4.25', 10);
  const purchase = await buy(newUser(), [line(cup, 2)], { method: 'credit_card', payment_token: 'tok_visa' });
  assert.equal(purchase.status, 'COMPLETED');
  const { body } = await platform.simulator.get('/charges?limit=1000');
  const charge = body.data.find(({ reference }: { reference: string }) => reference === purchase.payment_id);
  assert.deepEqual([charge.amount_minor, charge.refunded_minor], [850, 0]);
});

test('without the stock nobody pays, and what was kept is given up', async () => {
  const [cup, rare] = [await sell('4.25', 10), await sell('9.00', 1)];
  const user = await walletWith(api, '100.00');
  const purchase = await buy(user, [line(cup, 2), line(rare, 2)]);
  assert.deepEqual([purchase.status, purchase.reason], ['CANCELLED', 'out_of_stock']);
  assert.equal(purchase.detail, purchase.lines[1].product_id);
  await until('nothing is kept', async () => (await stockOf(cup))[1] === 0 && (await stockOf(rare))[1] === 0);
  assert.deepEqual(
    [await stockOf(cup), await stockOf(rare)],
    [
      [10, 0, 10],
      [1, 0, 1],
    ],
  );
  assert.equal(await balanceOf(api, user), 10_000);
  assert.equal((await api.get(`/payments/${purchase.payment_id}`)).status, 404);
});

test('without the money what was kept is given up', async () => {
  const cup = await sell('60.00', 3);
  const user = await walletWith(api, '100.00');
  const byWallet = await buy(user, [line(cup, 2)]);
  assert.deepEqual(
    [byWallet.status, byWallet.reason, byWallet.detail],
    ['CANCELLED', 'payment_declined', 'insufficient_funds'],
  );
  const byCard = await buy(user, [line(cup, 2)], { method: 'credit_card', payment_token: 'tok_stolen' });
  assert.deepEqual([byCard.status, byCard.reason], ['CANCELLED', 'payment_declined']);
  await until('nothing is kept', async () => (await stockOf(cup))[1] === 0);
  assert.deepEqual([await stockOf(cup), await balanceOf(api, user)], [[3, 0, 3], 10_000]);
});

for (const method of ['wallet', 'credit_card']) {
  test(`a completed purchase paid by ${method} is given back in part, then cancelled: money and units come back`, async () => {
    const [cup, pot] = [await sell('4.25', 10), await sell('20.00', 5)];
    const user = await walletWith(api, '100.00');
    const purchase = await buy(user, [line(cup, 3), line(pot, 1)], { method });
    assert.equal(purchase.status, 'COMPLETED');
    const part = await cancel(purchase.id, { lines: [line(cup, 2)] });
    assert.deepEqual([part.status, part.body.status, part.body.lines[0].returned], [200, 'COMPLETED', 2]);
    await refunded(purchase.id, 850);
    const tooMuch = await cancel(purchase.id, { lines: [line(cup, 2)] });
    assert.deepEqual([tooMuch.status, tooMuch.body.code], [422, 'return_exceeds_purchase']);
    const all = await cancel(purchase.id);
    assert.deepEqual([all.status, all.body.status, all.body.reason], [200, 'CANCELLED', 'cancelled']);
    assert.equal((await cancel(purchase.id)).body.status, 'CANCELLED', 'again: it is cancelled already');
    await refunded(purchase.id, 3275);
    await until('the units are back', async () => (await stockOf(cup))[0] === 10 && (await stockOf(pot))[0] === 5);
    assert.equal(await balanceOf(api, user), 10_000);
    await assertLedgerBalanced(api);
  });
}

test('a purchase is cancelled before its payment ends: the money that comes later goes back', async () => {
  const cup = await sell('4.25', 10);
  const card = { method: 'credit_card', payment_token: 'tok_async' };
  const { body } = await order(newUser(), [line(cup, 2)], card, {});
  assert.equal(body.status, 'PENDING');
  await until('it is being paid', async () => (await show(body.id)).saga.state === 'PAYING');
  assert.equal((await cancel(body.id)).body.status, 'CANCELLED');
  await refunded(body.id, 850);
  await until('nothing is kept', async () => (await stockOf(cup))[1] === 0);
  assert.deepEqual(await stockOf(cup), [10, 0, 10]);
});

test('a payment that comes after its reservation takes what is there', async () => {
  const cup = await sell('4.25', 5);
  const slow = { method: 'credit_card', payment_token: 'tok_slow' };
  const { body } = await order(newUser(), [line(cup, 2)], slow, {});
  await until('two are kept', async () => (await stockOf(cup))[1] === 2);
  await until('they are not any more', async () => (await stockOf(cup))[1] === 0);
  assert.equal((await ended(body.id)).status, 'COMPLETED');
  assert.deepEqual(await stockOf(cup), [3, 0, 3]);
});

test('a payment that comes after its reservation is given back when another has bought', async () => {
  const cup = await sell('4.25', 1);
  const slow = { method: 'credit_card', payment_token: 'tok_slow' };
  const { body } = await order(newUser(), [line(cup, 1)], slow, {});
  await until('it is kept', async () => (await stockOf(cup))[1] === 1);
  await until('it is not any more', async () => (await stockOf(cup))[1] === 0);
  const other = await buy(await walletWith(api, '10.00'), [line(cup, 1)]);
  assert.equal(other.status, 'COMPLETED');
  const purchase = await ended(body.id);
  assert.deepEqual([purchase.status, purchase.reason], ['CANCELLED', 'out_of_stock']);
  await refunded(body.id, 425);
  assert.deepEqual(await stockOf(cup), [0, 0, 0]);
});

test(`of ${BUYERS} buyers of the last unit exactly one gets it, and the others pay nothing`, async () => {
  const users = await Promise.all(Array.from({ length: BUYERS }, () => walletWith(api, '10.00')));
  for (let race = 1; race <= RACES; race++) {
    const cup = await sell('1.00', 1);
    const purchases = await Promise.all(users.map((user) => buy(user, [line(cup, 1)])));
    const [winner, ...others] = purchases.filter(({ status }) => status === 'COMPLETED');
    assert.ok(winner !== undefined && others.length === 0, `race ${race}`);
    for (const { status, reason } of purchases.filter((each) => each !== winner))
      assert.deepEqual([status, reason], ['CANCELLED', 'out_of_stock']);
    assert.deepEqual(await stockOf(cup), [0, 0, 0]);
    await until('one has paid', async () => {
      const balances = await Promise.all(users.map((user) => balanceOf(api, user)));
      return balances.reduce((sum, balance) => sum + 1000 - balance, 0) === race * 100;
    });
  }
  await assertLedgerBalanced(api);
});

test('what cannot be sold is refused, every line of it', async () => {
  const [cup, euros] = [await sell('4.25', 5), await sell('4.25', 5, 'EUR')];
  const user = await walletWith(api, '10.00');
  const off = await sell('1.00', 5);
  await api.send('PUT', `/api/v1/products/${off}`, { name: 'Cup', price: 1, currency: 'USD', status: 'INACTIVE' });
  await until('it is not for sale', async () => (await order(user, [line(off, 9)])).status === 422);
  const cases: readonly (readonly [lines: readonly object[], status: number, code: string, field: string])[] = [
    [[line('NO-SUCH', 1)], 422, 'product_unknown', 'lines.0.product_id'],
    [[line(cup, 1), line(off, 1)], 422, 'product_not_for_sale', 'lines.1.product_id'],
    [[line(cup, 1), line(cup, 2)], 422, 'product_repeated', 'lines.1.product_id'],
    [[line(cup, 1, { unit_price: '4.20' })], 409, 'price_changed', 'lines.0.unit_price'],
    [[line(cup, 1, { unit_price: '4.255' })], 422, 'amount_too_precise', 'lines.0.unit_price'],
    [[line(cup, 1), line(euros, 1)], 422, 'currencies_mixed', 'lines'],
    [[line(cup, 0)], 422, 'invalid_request', 'lines.0.quantity'],
    [[line(cup, 1.5)], 422, 'invalid_request', 'lines.0.quantity'],
    [[], 422, 'invalid_request', 'lines'],
  ];
  for (const [lines, status, code, field] of cases) {
    const { status: given, body } = await order(user, lines);
    assert.deepEqual([given, body.code, body.errors[0].field], [status, code, field], JSON.stringify(lines));
  }
  const both = await order(user, [line('NO-SUCH', 1), line(cup, 1, { unit_price: '1' })]);
  assert.deepEqual(
    both.body.errors.map(({ code }: { code: string }) => code),
    ['product_unknown', 'price_changed'],
  );
  const card = await order(user, [line(cup, 1)], { method: 'credit_card', payment_token: '4242424242424242' });
  assert.deepEqual([card.status, card.body.code], [422, 'card_number_refused']);
  assert.deepEqual(await stockOf(cup), [5, 0, 5]);
});

test('a purchase is made once under its key, and cancelled once', async () => {
  const cup = await sell('1.00', 10);
  const user = await walletWith(api, '10.00');
  const key = { 'idempotency-key': randomUUID() };
  const first = await order(user, [line(cup, 1)], {}, key);
  const again = await order(user, [line(cup, 1)], {}, key);
  assert.deepEqual([again.status, again.body.id], [201, first.body.id]);
  assert.equal((await order(user, [line(cup, 2)], {}, key)).status, 422);
  await ended(first.body.id);
  assert.deepEqual(await stockOf(cup), [9, 0, 9]);
  const cancels = await Promise.all(Array.from({ length: 8 }, () => cancel(first.body.id)));
  assert.deepEqual([...new Set(cancels.map(({ status, body }) => `${status} ${body.status}`))], ['200 CANCELLED']);
  await refunded(first.body.id, 100);
  await until('it is back', async () => (await stockOf(cup))[0] === 10);
  assert.equal(await balanceOf(api, user), 1000);
});

test('a purchase that is asked for again is answered as before, also when it could not be sold any more', async () => {
  const cup = await sell('1.00', 10);
  const user = await walletWith(api, '10.00');
  const lines = [line(cup, 1, { unit_price: '1.00' })];
  const key = { 'idempotency-key': randomUUID() };
  const first = await order(user, lines, { reference: 'order-1' }, { ...key, ...WAIT });
  assert.equal(first.body.status, 'COMPLETED');
  await api.send('PUT', `/api/v1/products/${cup}`, { name: 'Tea cup', price: '2.00', currency: 'USD' });
  // One that can never be sold: before the news has arrived, another would be.
  await until('the price has changed', async () => {
    const { body } = await order(user, [...lines, line('NO-SUCH', 1)]);
    return body.errors.some(({ code }: { code: string }) => code === 'price_changed');
  });
  const again = [
    await order(user, lines, { reference: 'order-1' }, key),
    await order(user, lines, { reference: 'order-1' }),
  ];
  for (const { status, body } of again) assert.deepEqual([status, body.id], [201, first.body.id]);
  const other = await order(user, [line(cup, 2)], { reference: 'order-1' });
  assert.deepEqual([other.status, other.body.code], [409, 'reference_reused']);
  const listed = await api.get(`/api/v1/purchases?customer_id=${user}&reference=order-1`);
  assert.deepEqual(
    listed.body.data.map(({ id, reference }: { id: string; reference: string }) => [id, reference]),
    [[first.body.id, 'order-1']],
  );
  const back = { lines: [line(cup, 1)], reference: 'return-1' };
  assert.equal((await cancel(first.body.id, back)).body.status, 'CANCELLED');
  assert.deepEqual((await cancel(first.body.id, back)).status, 200);
  assert.equal((await cancel(first.body.id, { ...back, lines: [line(cup, 2)] })).body.code, 'reference_reused');
  await until('it is back', async () => (await stockOf(cup))[0] === 10);
});

test('an unknown purchase is not found', async () => {
  for (const answer of [await api.get(`/api/v1/purchases/${randomUUID()}`), await cancel(randomUUID())])
    assert.deepEqual([answer.status, answer.body.code], [404, 'purchase_not_found']);
  assert.deepEqual((await api.get('/api/v1/purchases/nonsense')).body.code, 'invalid_id');
});

test('money that others gave back is not given back again', async () => {
  const cup = await sell('5.00', 2);
  const user = await walletWith(api, '10.00');
  const purchase = await buy(user, [line(cup, 2)]);
  assert.equal((await refund(api, purchase.payment_id)).status, 'SUCCEEDED');
  await refunded(purchase.id, 1000);
  assert.equal((await cancel(purchase.id)).body.status, 'CANCELLED');
  await until('the units are back', async () => (await stockOf(cup))[0] === 2);
  assert.equal(await balanceOf(api, user), 1000);
  await assertLedgerBalanced(api);
});

test('at the end every invariant and every read model holds', async () => {
  const { code, output } = await platform.caudal('verify', '--gateway', platform.simulator.url);
  assert.equal(code, 0, output);
});
