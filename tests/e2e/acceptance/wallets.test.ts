import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { assertLedgerBalanced, balanceOf, finalPayment, move, newUser, pay, walletWith } from '../../support/money.ts';
import { startPlatform } from '../../support/platform.ts';
import { until } from '../../support/until.ts';

const platform = await startPlatform();
const { api } = platform;
const AT_ONCE = 200;

interface Movement {
  readonly kind: 'credit' | 'debit';
  readonly amount_minor: number;
  readonly previous_balance_minor: number;
  readonly new_balance_minor: number;
  readonly effective_at: string;
  readonly payment_id: string | null;
}

/** Every line of a statement, in the order in which they were recorded; each must go on where the one before ended. */
async function statementOf(user: string): Promise<readonly Movement[]> {
  const lines: Movement[] = [];
  let cursor: string | null = '';
  while (cursor !== null) {
    const { body } = await api.get(`/wallets/${user}/transactions?limit=60${cursor && `&cursor=${cursor}`}`);
    lines.push(...body.data);
    cursor = body.next_cursor;
  }
  lines.reverse();
  let balance = 0;
  for (const line of lines) {
    assert.equal(line.previous_balance_minor, balance);
    balance += line.kind === 'credit' ? line.amount_minor : -line.amount_minor;
    assert.equal(line.new_balance_minor, balance);
  }
  return lines;
}

test('200 debits at once never pass the overdraft limit', async () => {
  const user = await walletWith(api, '100.00', 'EUR', '50.00');
  const answers = await Promise.all(
    Array.from({ length: AT_ONCE }, (_, i) =>
      api.post(`/wallets/${user}/debits`, { amount: '1.00', reason: 'test', reference: `debit-${i}` }),
    ),
  );
  const made = answers.filter(({ status }) => status === 201);
  assert.equal(made.length, 150);
  for (const { status, body } of answers) assert.ok(status === 201 || body.code === 'insufficient_funds', body.code);
  assert.equal(await balanceOf(api, user), -5000);
  assert.equal((await statementOf(user)).length, 151);
  await assertLedgerBalanced(api);
});

test('200 payments at once from one wallet: as many are approved as it can pay', async () => {
  const user = await walletWith(api, '100.00');
  const payment = { amount: '1.00', currency: 'USD', method: 'wallet', customer_id: user };
  const created = await Promise.all(Array.from({ length: AT_ONCE }, () => api.post('/payments', payment)));
  const ended = await Promise.all(created.map(({ body }) => finalPayment(api, body.id)));
  const approved = ended.filter(({ status }) => status === 'APPROVED');
  assert.equal(approved.length, 100);
  for (const { status, reason } of ended) {
    assert.ok(status === 'APPROVED' || (status === 'DECLINED' && reason === 'insufficient_funds'), reason);
  }
  assert.equal(await balanceOf(api, user), 0);
  const paid = (await statementOf(user)).flatMap(({ payment_id }) => payment_id ?? []);
  assert.deepEqual(paid.sort(), approved.map(({ id }) => id).sort());
  await assertLedgerBalanced(api);
});

test('balance?as_of= agrees with the value dates, also those recorded late', async () => {
  const user = await walletWith(api, '0', 'CZK', '1000.00');
  const movements: readonly (readonly [day: string, kind: 'credits' | 'debits', amount: number])[] = [
    ['2024-01-31', 'credits', 500],
    ['2024-02-29', 'debits', 120],
    ['2024-02-01', 'credits', 7],
    ['2025-12-31', 'debits', 33],
    ['2024-02-29', 'credits', 1],
  ];
  for (const [effective_at, kind, amount] of movements) {
    const movement = { amount, reason: 'test', reference: randomUUID(), effective_at };
    assert.equal((await api.post(`/wallets/${user}/${kind}`, movement)).status, 201);
  }
  for (const [asOf, balance] of [
    ['2024-01-30', 0],
    ['2024-01-31', 50_000],
    ['2024-01-31T00:00:00Z', 50_000],
    ['2024-02-01', 50_700],
    ['2024-02-28T23:59:59.999Z', 50_700],
    ['2024-02-29', 38_800],
    ['2025-12-31', 35_500],
  ] as const) {
    const { body } = await api.get(`/wallets/${user}/balance?as_of=${asOf}`);
    assert.equal(body.balance_minor, balance, asOf);
  }
  assert.equal(await balanceOf(api, user), 35_500);
  assert.equal((await statementOf(user)).length, 5);
  const february = await api.get(`/wallets/${user}/transactions?from=2024-02-01&to=2024-02-29`);
  assert.equal(february.body.data.length, 3);
});

test('a wallet is found by its id, by its user, and by its balance', async () => {
  const user = await walletWith(api, '8000000.00', 'CHF');
  const { body: wallet } = await api.get(`/wallets/${user}`);
  assert.deepEqual((await api.get(`/wallets/${wallet.id}`)).body, wallet);
  assert.deepEqual([wallet.balance, wallet.balance_minor, wallet.movements], [8_000_000, 800_000_000, 1]);
  assert.deepEqual((await api.get('/wallets?min_balance=8000000')).body.data, [wallet]);
  assert.deepEqual((await api.get('/wallets?min_balance=8000000.01')).body.data, []);
  assert.deepEqual((await api.get(`/wallets?user_id=${newUser()}`)).body.data, []);
});

test('each movement is in the ledger, which names where the money is', async () => {
  const before = await accounts();
  const user = await walletWith(api, '10.00', 'NOK');
  await move(api, 'debits', user, '1.00', randomUUID());
  await api.post(`/wallets/${user}/debits`, { amount: '2.00', reason: 'fee', reference: randomUUID() });
  await pay(api, { method: 'wallet', customer_id: user, amount: '3.00', currency: 'NOK' });
  let after = before;
  const change = (account: string) => (after.get(account) ?? 0) - (before.get(account) ?? 0);
  await until('the approved payment has reached the merchant', async () => {
    after = await accounts();
    return change('merchant:default') === 300;
  });
  assert.equal(change('world'), -900);
  assert.equal(change('fees'), 200);
  assert.equal(change('clearing:payments'), 0, 'nothing of it is on its way any more');
  const { body: wallet } = await api.get(`/wallets/${user}`);
  assert.equal(change(`wallet:${wallet.id}`), 400);
  await assertLedgerBalanced(api);
});

/** The balances of the accounts in NOK, which only one test uses. */
async function accounts(): Promise<ReadonlyMap<string, number>> {
  const { body } = await api.get('/api/v1/ledger/accounts?limit=1000');
  const found: readonly { account: string; currency: string; balance_minor: number }[] = body.data;
  return new Map(
    found.filter(({ currency }) => currency === 'NOK').map(({ account, balance_minor }) => [account, balance_minor]),
  );
}
