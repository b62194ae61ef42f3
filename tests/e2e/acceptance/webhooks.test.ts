import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Answer } from '../../support/api.ts';
import { finalPayment } from '../../support/money.ts';
import { startPlatform } from '../../support/platform.ts';
import { until } from '../../support/until.ts';

// The simulator leaves its own webhooks for later than this test lasts, so that those sent here are the only ones.
const platform = await startPlatform({ SIMULATOR_ASYNC_MS: '3600000' });
const { api, simulator } = platform;
const secret = await readFile(join(platform.dataDir, 'webhook.secret'), 'utf8');

/** Makes a payment that waits for its webhook. @returns its id, and the charge as the simulator would show it approved */
async function awaitingPayment() {
  const payment = {
    amount: '7.00',
    currency: 'EUR',
    method: 'debit_card',
    customer_id: 'c',
    payment_token: 'tok_async',
  };
  const { id } = (await api.post('/payments', payment)).body;
  let charge: Answer['body'];
  await until('the simulator has the charge', async () => {
    const { body } = await simulator.get('/charges?limit=1000');
    charge = body.data.find(({ reference }: { reference: string }) => reference === id);
    return charge !== undefined;
  });
  return { id, charge: { ...charge, status: 'succeeded', reason: 'approved', transaction_id: 'txn_1' } };
}

function webhook(data: unknown, type = 'charge.succeeded'): string {
  return JSON.stringify({ id: 'evt_1', type, created_at: new Date().toISOString(), data });
}

/** @param ageSeconds how long ago it was signed */
function signature(body: string, ageSeconds = 0, key = secret): string {
  const time = Math.floor(Date.now() / 1000) - ageSeconds;
  return `t=${time},v1=${createHmac('sha256', key).update(`${time}.${body}`).digest('hex')}`;
}

function send(body: string, signed?: string): Promise<Answer> {
  return api.post('/api/v1/webhooks/simulator', body, signed === undefined ? {} : { 'caudal-signature': signed });
}

/** How many webhooks there were so far, by what became of them. */
async function counts(): Promise<Record<string, number>> {
  const lines = (await api.get('/metrics')).text.matchAll(/^caudal_webhooks_total\{.*outcome="(\w+)".*\} (\d+)$/gm);
  return Object.fromEntries([...lines].map(([, outcome, count]) => [outcome, Number(count)]));
}

test('a signed webhook decides the payment; the very same one again is refused, told anew it is ignored', async () => {
  const { id, charge } = await awaitingPayment();
  const body = webhook(charge);
  const signed = signature(body, 1);
  assert.deepEqual((await send(body, signed)).body, { outcome: 'recorded' });
  assert.equal((await finalPayment(api, id)).status, 'APPROVED');
  const replayed = await send(body, signed);
  assert.deepEqual([replayed.status, replayed.body.code], [409, 'webhook_replayed']);
  assert.deepEqual((await send(body, signature(body))).body, { outcome: 'ignored' });
  const { recorded, replayed: counted, ignored } = await counts();
  assert.deepEqual([recorded, counted, ignored], [1, 1, 1]);
});

test('a wrong, missing or stale signature is refused, counted, and decides nothing', async () => {
  const { id, charge } = await awaitingPayment();
  const body = webhook(charge);
  const right = signature(body);
  const refused: readonly (readonly [string, string | undefined])[] = [
    [body, undefined],
    [body, ''],
    [body, 'nonsense'],
    [body, signature(body, 0, 'another secret')],
    [body, signature(body, 3600)],
    [body, signature(body, -3600)],
    [body, `${right}0`],
    [body, right.replace('v1=', 'v0=')],
    [body.replace('"EUR"', '"USD"'), right],
    [`${body} `, right],
  ];
  for (const [sent, signed] of refused) {
    const answer = await send(sent, signed);
    assert.deepEqual([answer.status, answer.body.code], [401, 'webhook_signature_invalid'], signed);
  }
  assert.equal((await api.get(`/payments/${id}`)).body.status, 'PENDING');
  const { wrong_signature, stale, missing_signature } = await counts();
  assert.deepEqual([wrong_signature, stale, missing_signature], [7, 2, 1]);
});

test('a signed webhook that is none, or tells of another amount, decides nothing', async () => {
  const { id, charge } = await awaitingPayment();
  for (const body of ['', 'x', '{}', '[]']) {
    const answer = await send(body, signature(body));
    assert.deepEqual([answer.status, answer.body.code], [422, 'invalid_request'], body);
  }
  const other = webhook({ ...charge, amount_minor: 1 });
  assert.deepEqual((await send(other, signature(other))).body, { outcome: 'ignored' });
  const unknown = webhook({ ...charge, reference: '019f0000-0000-7000-8000-000000000000' });
  assert.deepEqual((await send(unknown, signature(unknown))).body, { outcome: 'ignored' });
  assert.equal((await api.get(`/payments/${id}`)).body.status, 'PENDING');
  const nobody = await api.post('/api/v1/webhooks/nobody', '{}');
  assert.deepEqual([nobody.status, nobody.body.code], [404, 'not_found']);
});
