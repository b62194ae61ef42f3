import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Api } from '../../support/api.ts';
import { newUser, pay, walletWith } from '../../support/money.ts';
import { startPlatform } from '../../support/platform.ts';
import { until } from '../../support/until.ts';

const WINDOW_LIMIT = 5;
const MANY = 40;
const folder = await mkdtemp(join(tmpdir(), 'caudal-rules-'));
const rulesFile = join(folder, 'rules.json');
after(() => rm(folder, { recursive: true }));

interface Rule {
  readonly name: string;
  readonly score?: number;
  readonly action?: 'decline';
  readonly when: object;
}

const VELOCITY: Rule = {
  name: 'velocity',
  action: 'decline',
  when: { payments_in_window: { seconds: 3600, more_than: WINDOW_LIMIT } },
};

async function writeRules(rules: readonly Rule[]): Promise<void> {
  await writeFile(rulesFile, JSON.stringify({ threshold: 100, rules }));
}

await writeRules([VELOCITY]);
const platform = await startPlatform({ FRAUD_RULES_FILE: rulesFile, BUS_HEARTBEAT_MS: '300', BUS_LEASE_MS: '1500' });
const { api } = platform;

/** The fraud check's decision about a payment. */
async function decisionAbout(id: string) {
  const { body } = await api.get(`/payments/${id}/timeline`);
  return body.data.find(({ type }: { type?: string }) => type === 'payments.checked').data;
}

async function allowsWallets(): Promise<boolean> {
  const { reason } = await pay(api, { method: 'wallet', customer_id: newUser() });
  return reason === 'wallet_not_found';
}

test('rules that are edited while it runs take effect, and each decision names those that fired', async () => {
  const rules: readonly Rule[] = [
    VELOCITY,
    { name: 'swiss', score: 60, when: { currency_in: ['CHF'] } },
    { name: 'large', score: 40, when: { amount_gte: { '*': 500 } } },
    { name: 'blocked', action: 'decline', when: { customer_in: ['mallory'] } },
  ];
  const before = await pay(api, { customer_id: 'mallory' });
  assert.equal(before.status, 'APPROVED');
  await writeRules(rules);
  await until('the new rules are in force', () => api.log.some(({ message }) => message.startsWith('4 fraud rules')));

  for (const [fields, status, fired] of [
    [{ customer_id: 'mallory' }, 'DECLINED', ['blocked']],
    [{ customer_id: newUser(), currency: 'CHF' }, 'APPROVED', ['swiss']],
    [{ customer_id: newUser(), amount: 500 }, 'APPROVED', ['large']],
    [{ customer_id: newUser(), amount: 500, currency: 'CHF' }, 'DECLINED', ['swiss', 'large']],
    [{ customer_id: newUser() }, 'APPROVED', []],
  ] as const) {
    const payment = await pay(api, fields);
    assert.equal(payment.status, status);
    const decision = await decisionAbout(payment.id);
    assert.deepEqual(decision.rules, fired);
    if (status === 'DECLINED') assert.deepEqual([payment.reason, decision.status], ['fraud_detected', 'DECLINED']);
  }
});

test('a broken file leaves the rules in force, and the log says what is wrong', async () => {
  await writeFile(rulesFile, '{"rules": [{"name": "x"');
  await until('the file is refused', () =>
    api.log.some(({ level, message }) => level === 'ERROR' && /not JSON/.test(message)),
  );
  assert.equal((await pay(api, { customer_id: 'mallory' })).status, 'DECLINED');
  assert.equal((await api.get('/health')).body.status, 'healthy');
});

test('nothing is asked of a wallet when fraud says no', async () => {
  await writeRules([{ name: 'all', action: 'decline', when: { method_in: ['wallet'] } }]);
  await until('the new rules are in force', () => api.log.some(({ message }) => message.startsWith('1 fraud rules')));
  const customer_id = await walletWith(api, '100.00');
  const payment = await pay(api, { method: 'wallet', customer_id });
  assert.deepEqual([payment.status, payment.reason], ['DECLINED', 'fraud_detected']);
  const { body } = await api.get(`/payments/${payment.id}/timeline`);
  const types = body.data.flatMap(({ type }: { type?: string }) => type ?? []);
  assert.deepEqual(types, ['payments.created', 'payments.checked', 'payments.declined']);
});

test('payments of a customer are counted right although two servers check them', async () => {
  await writeRules([VELOCITY]);
  const servers: readonly Api[] = [api, await platform.startServer()];
  await until('the new rules are in force', async () => await allowsWallets());
  for (const customer_id of [newUser(), newUser(), newUser()]) {
    const payments = await Promise.all(Array.from({ length: MANY }, (_, i) => pay(servers[i % 2]!, { customer_id })));
    const approved = payments.filter(({ status }) => status === 'APPROVED');
    assert.equal(approved.length, WINDOW_LIMIT);
  }
});
