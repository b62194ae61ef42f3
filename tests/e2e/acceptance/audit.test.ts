import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertLedgerBalanced, finalPayment, newUser, walletWith } from '../../support/money.ts';
import { startPlatform } from '../../support/platform.ts';
import { until } from '../../support/until.ts';

const platform = await startPlatform({ MONITOR_PAUSE_MS: '100', METRICS_SAMPLE_MS: '200' });
const { api } = platform;

/** A payment that is over. */
async function paid(method: string, customer_id: string, amount = '2.00') {
  const { body } = await api.post('/payments', { amount, currency: 'USD', method, customer_id });
  return finalPayment(api, body.id);
}

async function metric(name: string, label: string): Promise<number> {
  const { text } = await api.get('/metrics');
  const found = text.match(new RegExp(`^${name}\\{[^}]*${label}[^}]*\\} (\\S+)$`, 'm'));
  return Number(found?.[1] ?? Number.NaN);
}

async function verify(): Promise<string> {
  const { code, output } = await platform.caudal('verify', '--gateway', platform.simulator.url);
  assert.equal(code, 0, output);
  return output;
}

test('payments, a decline and a refund: the auditor, the monitor, every read model and the gateway agree', async () => {
  const user = await walletWith(api, '100.00');
  const made = await Promise.all([paid('wallet', user), paid('wallet', user), paid('credit_card', newUser())]);
  assert.deepEqual(
    made.map(({ status }) => status),
    ['APPROVED', 'APPROVED', 'APPROVED'],
  );
  assert.equal((await paid('wallet', user, '500.00')).status, 'DECLINED');
  for (const { id } of made) {
    await api.post(`/payments/${id}/refunds`, { amount: '1.00', reason: 'less was sent' });
    await until('the refund is over', async () => {
      const { body } = await api.get(`/payments/${id}/refunds`);
      return body.data[0]?.status === 'SUCCEEDED';
    });
  }
  await assertLedgerBalanced(api);
  const timeline = (await api.get(`/payments/${made[0]!.id}/timeline`)).body.data;
  for (const type of ['payments.created', 'payments.checked', 'wallet.debited', 'payments.approved', 'wallet.credited'])
    assert.ok(
      timeline.some((entry: { type?: string }) => entry.type === type),
      `${type} is in the timeline`,
    );
  assert.match(await verify(), /^OK: \d+ events, every invariant, every read model and the ledger$/m);
  await until('the monitor has seen it all', async () => (await metric('caudal_consumer_lag', 'monitor')) === 0);
  const findings = await platform.caudal('verify', '--findings');
  assert.equal(findings.code, 0, findings.output);
});

test('the ledger is rebuilt from the events, wherever they are, and equals the old one', async () => {
  const { code, output } = await platform.caudal('projections', 'rebuild', 'wallets.ledger_accounts');
  assert.equal(code, 0, output);
  assert.match(output, /equal to the old one, and swapped in/);
  await paid('wallet', await walletWith(api, '10.00'));
  await verify();
});

test('what was changed in the wallets is found by verify', async () => {
  const user = await walletWith(api, '10.00');
  await paid('wallet', user);
  const query = platform.queryOf('wallets');
  await query('UPDATE wallets.wallet_balances SET balance_minor = balance_minor + 1 WHERE user_id = $1', [user]);
  const { code, output } = await platform.caudal('verify');
  assert.equal(code, 1, output);
  assert.match(output, /wallets\.wallet_balances: 1 rows are not what the log says/);
  assert.match(output, /^ledger: the accounts in USD do not sum to zero/m);
  await query('UPDATE wallets.wallet_balances SET balance_minor = balance_minor - 1 WHERE user_id = $1', [user]);
  await verify();
});
