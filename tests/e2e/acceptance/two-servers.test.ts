import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import type { Answer, Api } from '../../support/api.ts';
import { discrepancies } from '../../support/gateway-books.ts';
import { assertLedgerBalanced, balanceOf, finalPayment, move, pay, refund, walletWith } from '../../support/money.ts';
import { startPlatform } from '../../support/platform.ts';
import { until } from '../../support/until.ts';

// The circuit to the card gateway, which moves from one server to the other, is tried again soon.
const platform = await startPlatform({
  BUS_HEARTBEAT_MS: '300',
  BUS_LEASE_MS: '1500',
  GATEWAY_BREAKER_OPEN_MS: '1000',
});
const first = platform.api;
const second = await platform.startServer();
const servers: readonly Api[] = [first, second];

const PAYMENTS = 200;
const SERVICES = ['fraud', 'gateway', 'payments', 'wallets'];

/** Makes payments through both servers in turn. */
async function payThrough(fields: Readonly<Record<string, unknown>>, count = PAYMENTS): Promise<readonly Answer[]> {
  const payment = { amount: '1.00', currency: 'USD', method: 'credit_card', customer_id: 'customer-1', ...fields };
  return Promise.all(Array.from({ length: count }, (_, i) => servers[i % 2]!.post('/payments', payment)));
}

/** How many messages of the bus each service of a server has handled. */
async function handledBy(server: Api): Promise<Readonly<Record<string, number>>> {
  const found = (await server.get('/metrics')).text.matchAll(
    /^caudal_messages_processed_total\{service="(\w+)"\} (\d+)$/gm,
  );
  return Object.fromEntries([...found].map(([, service, count]) => [service, Number(count)]));
}

test('two servers on one database share the messages of every service', async () => {
  const user = await walletWith(first, '1000.00');
  const created = [...(await payThrough({})), ...(await payThrough({ method: 'wallet', customer_id: user }))];
  for (const [i, { body }] of created.entries()) {
    // Each is asked for at the server that did not take it.
    assert.equal((await finalPayment(servers[(i + 1) % 2]!, body.id)).status, 'APPROVED');
  }
  for (const server of servers) {
    const handled = await handledBy(server);
    for (const service of SERVICES) assert.ok(handled[service]! > 0, `${server.url}: ${JSON.stringify(handled)}`);
  }
});

test('one wallet that both servers debit at once stays exact', async () => {
  const user = await walletWith(first, '100.00', 'EUR', '20.00');
  const direct = Array.from({ length: PAYMENTS / 2 }, (_, i) =>
    servers[i % 2]!.post(`/wallets/${user}/debits`, { amount: '0.50', reason: 'test', reference: `debit-${i}` }),
  );
  const created = await payThrough({ method: 'wallet', customer_id: user, currency: 'EUR' });
  const debits = (await Promise.all(direct)).filter(({ status }) => status === 201).length;
  const ended = await Promise.all(created.map(({ body }) => finalPayment(second, body.id)));
  const approved = ended.filter(({ status }) => status === 'APPROVED').length;
  assert.equal(await balanceOf(first, user), 10_000 - 50 * debits - 100 * approved);
  assert.ok((await balanceOf(second, user)) >= -2000);
  assert.ok(debits === PAYMENTS / 2 ? approved === 70 : approved >= 70, `${debits} debits, ${approved} payments`);
  await assertLedgerBalanced(second);
});

test('what one server has changed, the other decides by', async () => {
  const user = await walletWith(first, '0');
  const debit = (reference: string) => ({ amount: '5.00', reason: 'test', reference });
  const refused = await second.post(`/wallets/${user}/debits`, debit('too early'));
  assert.deepEqual([refused.status, refused.body.code], [422, 'insufficient_funds']);
  await move(first, 'credits', user, '10.00', 'deposit');
  await move(second, 'debits', user, '5.00', 'first half');
  await move(first, 'debits', user, '5.00', 'second half');
  const { status } = await second.post(`/wallets/${user}/debits`, debit('too much'));
  assert.deepEqual([status, await balanceOf(second, user)], [422, 0]);
});

test('refunds that are asked for at either server are all made', async () => {
  const user = await walletWith(first, '10.00');
  const payment = await pay(first, { method: 'wallet', customer_id: user, amount: '10.00' });
  await Promise.all(Array.from({ length: 20 }, (_, i) => refund(servers[i % 2]!, payment.id, { amount: '0.50' })));
  assert.equal(await balanceOf(second, user), 1000);
});

test('an Idempotency-Key and a reference hold across both', async () => {
  const user = await walletWith(first, '10.00');
  const payment = { amount: 1, currency: 'USD', method: 'wallet', customer_id: user };
  const keys = { 'idempotency-key': randomUUID() };
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) => servers[i % 2]!.post('/payments', payment, keys)),
  );
  const ids = new Set(answers.flatMap(({ status, body }) => (status === 201 ? [body.id] : [])));
  assert.equal(ids.size, 1, JSON.stringify([...ids]));
  for (const { status, body } of answers) assert.ok(status === 201 || body.code === 'idempotency_key_in_progress');
  await finalPayment(first, [...ids][0]);
  const credit = { amount: 1, reason: 'test', reference: 'once' };
  const credits = await Promise.all(servers.map((server) => server.post(`/wallets/${user}/credits`, credit)));
  assert.deepEqual([credits[0]!.status, credits[0]!.body.id], [201, credits[1]!.body.id]);
  const other = await second.post('/payments', { ...payment, amount: 2 }, keys);
  assert.deepEqual([other.status, other.body.code], [422, 'idempotency_key_reused']);
  assert.equal(await balanceOf(second, user), 1000);
});

test('when one stops, the other finishes what both have taken', async () => {
  const user = await walletWith(second, '1000.00');
  const created = [
    ...(await payThrough({ method: 'wallet', customer_id: user })),
    ...(await payThrough({ payment_token: 'tok_async' }, 20)),
  ];
  // The first server also runs the card gateway simulator, which the other one must take over.
  await platform.stop(first);
  for (const { status, body, text } of created) {
    assert.equal(status, 201, text);
    assert.equal((await finalPayment(second, body.id)).status, 'APPROVED');
  }
  assert.equal(await balanceOf(second, user), 100_000 - 100 * PAYMENTS);
  // All may have come to their end before that.
  await until('the simulator is there again', () =>
    platform.simulator.get('/health').then(
      () => true,
      () => false,
    ),
  );
  assert.deepEqual(await discrepancies(platform), []);
  await assertLedgerBalanced(second);
});
