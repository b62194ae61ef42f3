import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { createSimulator } from './server.ts';
import { type Received, type Running, SECRET, startReceiver, startSimulator, until } from './test-support.ts';

/** Checks a signature as a receiver would, with nothing of the simulator's own code. */
function signedAt({ signature, text }: Received, secret: string): number | undefined {
  const [, time = '', digest] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(signature) ?? [];
  const expected = createHmac('sha256', secret).update(`${time}.${text}`).digest('hex');
  return digest === expected ? Number(time) : undefined;
}

const counters = async (simulator: Running) => (await simulator.get('/health')).body.webhooks;
const settled = (simulator: Running) => until(async () => (await counters(simulator)).queued === 0);

test('a webhook is signed with the secret, over its time and its exact body', async (t) => {
  const receiver = await startReceiver(t);
  const simulator = await startSimulator(t, { webhookUrl: receiver.url, now: () => 1_700_000_000_999 });
  await simulator.charge('k1', { payment_token: 'tok_async' });
  const [webhook] = await receiver.first(1);
  assert.ok(webhook);
  assert.equal(signedAt(webhook, SECRET), 1_700_000_000);
  assert.equal(signedAt(webhook, 'another secret'), undefined);
  assert.equal(signedAt({ ...webhook, text: webhook.text.replace('1000', '1') }, SECRET), undefined);
  assert.match(webhook.event.id, /^evt_/);
  assert.equal(webhook.event.created_at, new Date(1_700_000_000_999).toISOString());
});

test('a refused webhook is sent again until it is taken, signed anew each time', async (t) => {
  const receiver = await startReceiver(t, (nth) => (nth < 3 ? 500 : 200));
  let seconds = 1_000;
  const simulator = await startSimulator(t, { webhookUrl: receiver.url, now: () => seconds++ * 1000 });
  await simulator.charge('k1', { payment_token: 'tok_async' });
  const webhooks = await receiver.first(4);
  await settled(simulator);
  assert.equal(receiver.received.length, 4);
  assert.equal(new Set(webhooks.map(({ event }) => event.id)).size, 1);
  const times = webhooks.map((webhook) => signedAt(webhook, SECRET));
  assert.equal(new Set(times).size, 4);
  assert.ok(!times.includes(undefined));
  assert.deepEqual(await counters(simulator), { queued: 0, delivered: 1, retried: 3, given_up: 0, dropped: 0 });
});

test('a webhook that is never taken is given up after the last attempt, and that is logged', async (t) => {
  const receiver = await startReceiver(t, () => 400);
  const simulator = await startSimulator(t, { webhookUrl: receiver.url, webhookMaxAttempts: 3 });
  await simulator.charge('k1', { payment_token: 'tok_async' });
  await receiver.first(3);
  await settled(simulator);
  assert.deepEqual(await counters(simulator), { queued: 0, delivered: 0, retried: 2, given_up: 1, dropped: 0 });
  assert.match(simulator.logged.join(), /a webhook was given up.*answered 400/);
});

test('webhooks wait for a receiver that is not there yet', async (t) => {
  const simulator = await startSimulator(t, { webhookUrl: 'http://127.0.0.1:1/', webhookMaxAttempts: 1_000 });
  await simulator.charge('k1', { payment_token: 'tok_async' });
  await until(async () => (await counters(simulator)).retried > 0);
  const receiver = await startReceiver(t);
  simulator.simulator.setWebhookUrl(receiver.url);
  const [webhook] = await receiver.first(1);
  assert.equal(webhook?.event.type, 'charge.succeeded');
});

test('many webhooks all arrive, though few are on their way at once', async (t) => {
  const receiver = await startReceiver(t);
  const simulator = await startSimulator(t, { webhookUrl: receiver.url, webhookConcurrency: 2 });
  const charge = (_: unknown, n: number) => simulator.charge(`k${n}`, { payment_token: 'tok_async' });
  const charges = await Promise.all(Array.from({ length: 100 }, charge));
  const told = (await receiver.first(100)).map(({ event }) => event.data.id);
  assert.deepEqual(told.sort(), charges.map(({ body }) => body.id).sort());
});

test('a full queue drops webhooks, counts them, and says so once', async (t) => {
  const options = { webhookUrl: 'http://127.0.0.1:1/', webhookMaxQueued: 1, webhookRetryBaseMs: 60_000 };
  const simulator = await startSimulator(t, options);
  for (const key of ['k1', 'k2', 'k3']) await simulator.charge(key, { payment_token: 'tok_async' });
  await until(async () => (await counters(simulator)).dropped === 2);
  assert.equal((await counters(simulator)).queued, 1);
  assert.equal(simulator.logged.filter((line) => line.includes('queue is full')).length, 1);
});

test('without a secret nothing is sent; the look-up still tells the outcome', async (t) => {
  const receiver = await startReceiver(t);
  const simulator = await startSimulator(t, { webhookUrl: receiver.url, webhookSecret: '' });
  await simulator.charge('k1', { payment_token: 'tok_async' });
  await until(async () => (await simulator.get('/v1/charges?idempotency_key=k1')).body.status === 'succeeded');
  assert.equal((await counters(simulator)).queued, 0);
  assert.deepEqual(receiver.received, []);
});

test('an address that webhooks cannot be sent to is refused by name', () => {
  for (const webhookUrl of ['127.0.0.1:8080/hook', 'ftp://127.0.0.1/hook', '']) {
    assert.throws(() => createSimulator({ webhookUrl }), /CAUDAL_WEBHOOK_URL must be an http or https address/);
  }
});
