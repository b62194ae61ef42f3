import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import { describe, type TestContext, test } from 'node:test';
import fastify, { type FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { systemClock } from '#kernel/core/clock.ts';
import { UnavailableError } from '#kernel/core/errors.ts';
import { createIdSource } from '#kernel/core/ids.ts';
import { problemOfError } from '#kernel/http/problem.ts';
import { createSimulator } from '../../../simulator/server.ts';
import { createSimulatorProvider } from './providers/simulator.ts';
import { type WebhookOutcome, webhookRoutes } from './routes.ts';
import { createTestPlatform, eventually, QUICK, type TestPlatform } from './test-support.ts';
import { createGatewayWorker } from './worker.ts';

const SECRET = 'a-secret-for-tests';
const NOW = Date.UTC(2026, 10, 22, 12);
const ID = '019a0000-0000-7000-8000-000000000001';
const silent = pino({ level: 'silent' });

interface Receiver {
  readonly app: FastifyInstance;
  readonly platform: TestPlatform;
  /** Each outcome in the order it was counted. */
  readonly counted: WebhookOutcome[];
  /** Delivers a body as the gateway does; gives the answer's status, and its outcome or code. */
  deliver(body: object | string, options?: DeliveryOptions): Promise<string>;
}

interface DeliveryOptions {
  readonly secret?: string;
  readonly signedAt?: number;
  readonly signature?: string | undefined;
  readonly path?: string;
}

function openReceiver(t: TestContext, clock = { now: () => NOW }): Receiver {
  const platform = createTestPlatform();
  const provider = createSimulatorProvider({ baseUrl: 'http://127.0.0.1:1', maxConnections: 1, webhookSecret: SECRET });
  const counted: WebhookOutcome[] = [];
  const app = fastify();
  app.setErrorHandler((error, _request, reply) => {
    const known = problemOfError(error, 'a'.repeat(32));
    void reply.code(known?.problem.status ?? 500).send(known?.problem ?? { code: String(error) });
  });
  const { executor, workList } = platform;
  const onWebhook = (_gateway: string, outcome: WebhookOutcome) => void counted.push(outcome);
  const ports = { executor, workList, clock, ids: createIdSource(), log: silent, onWebhook };
  app.register(webhookRoutes({ ...ports, providers: new Map([['simulator', provider]]) }));
  t.after(() => app.close());

  async function deliver(body: object | string, options: DeliveryOptions = {}): Promise<string> {
    const payload = typeof body === 'string' ? body : JSON.stringify(body);
    const { secret = SECRET, signedAt = NOW, path = '/webhooks/simulator' } = options;
    const signature = 'signature' in options ? options.signature : sign(payload, secret, signedAt);
    const headers = {
      'content-type': 'application/json',
      ...(signature !== undefined && { 'caudal-signature': signature }),
    };
    const response = await app.inject({ method: 'POST', url: path, headers, payload });
    const { outcome, code } = response.json() as { outcome?: string; code?: string };
    return `${response.statusCode} ${outcome ?? code}`;
  }
  return { app, platform, counted, deliver };
}

function sign(payload: string, secret = SECRET, at = NOW): string {
  const seconds = Math.floor(at / 1000);
  return `t=${seconds},v1=${createHmac('sha256', secret).update(`${seconds}.${payload}`).digest('hex')}`;
}

function webhook(status = 'succeeded', fields: object = {}) {
  const data = {
    id: 'ch_1',
    status,
    reason: status === 'pending' ? null : 'approved',
    reference: ID,
    amount_minor: 10_050,
    currency: 'USD',
    transaction_id: status === 'succeeded' ? 'txn_1' : null,
    idempotency_key: `charge-${ID}`,
    ...fields,
  };
  return { id: `evt_ch_1_${status}`, type: `charge.${status}`, created_at: '2026-11-22T12:00:00.000Z', data };
}

describe('a webhook that the gateway signed', () => {
  test('decides the charge', async (t) => {
    const { platform, deliver, counted } = openReceiver(t);
    platform.charge({ id: ID });
    assert.equal(await deliver(webhook()), '200 recorded');
    assert.deepEqual(platform.answers(ID), ['SUCCESS success']);
    assert.deepEqual(counted, ['recorded']);
  });

  test('sent again, signed anew, is taken and ignored', async (t) => {
    const { platform, deliver } = openReceiver(t);
    platform.charge({ id: ID });
    await deliver(webhook());
    assert.equal(await deliver(webhook(), { signedAt: NOW + 1_000 }), '200 ignored');
    assert.deepEqual(platform.answers(ID), ['SUCCESS success']);
  });

  test('the very same delivery again is a replay, and refused', async (t) => {
    const { platform, deliver, counted } = openReceiver(t);
    platform.charge({ id: ID });
    await deliver(webhook());
    assert.equal(await deliver(webhook()), '409 webhook_replayed');
    assert.deepEqual(counted, ['recorded', 'replayed']);
  });

  test('out of order changes nothing', async (t) => {
    const { platform, deliver } = openReceiver(t);
    platform.charge({ id: ID });
    assert.equal(await deliver(webhook('succeeded')), '200 recorded');
    assert.equal(await deliver(webhook('pending')), '200 ignored');
    assert.deepEqual(platform.answers(ID), ['SUCCESS success']);
  });

  test('decides a refund', async (t) => {
    const { platform, deliver } = openReceiver(t);
    const { data } = platform.refund(ID, 500);
    const fields = { id: 're_1', reference: data.refund_id, amount_minor: 500, idempotency_key: data.idempotency_key };
    assert.equal(await deliver({ ...webhook('succeeded', fields), type: 'refund.succeeded' }), '200 recorded');
    assert.deepEqual(platform.answers(data.refund_id), ['SUCCESS success']);
  });

  test('about a charge that nobody asked for, or of another kind, is ignored', async (t) => {
    const { deliver } = openReceiver(t);
    assert.equal(await deliver(webhook('succeeded', { reference: randomUUID() })), '200 ignored');
    assert.equal(await deliver(webhook('succeeded', { reference: 'order 17' })), '200 ignored');
    assert.equal(await deliver({ id: 'evt_9', type: 'gateway.says.hello', data: {} }), '200 ignored');
  });

  test('that tells of another amount, currency or key than was asked for is ignored', async (t) => {
    const { platform, deliver } = openReceiver(t);
    platform.charge({ id: ID });
    for (const fields of [{ amount_minor: 1 }, { currency: 'EUR' }, { idempotency_key: 'another' }]) {
      assert.equal(await deliver(webhook('succeeded', fields)), '200 ignored');
    }
    assert.deepEqual(platform.answers(ID), []);
  });

  test('while nothing can be recorded is not taken, so that the gateway sends it again', async (t) => {
    const { platform, deliver } = openReceiver(t);
    platform.charge({ id: ID });
    platform.broken = new UnavailableError('out of reach');
    assert.equal(await deliver(webhook()), '503 unavailable');
    platform.broken = undefined;
    assert.equal(await deliver(webhook()), '200 recorded');
  });
});

describe('a webhook that is refused', () => {
  const refusals: readonly [what: string, options: DeliveryOptions, outcome: WebhookOutcome][] = [
    ['without a signature', { signature: undefined }, 'missing_signature'],
    ['signed with another secret', { secret: 'another' }, 'wrong_signature'],
    ['with a signature of another form', { signature: 'v1=abc' }, 'wrong_signature'],
    ['with a signature of another body', { signature: sign('{}') }, 'wrong_signature'],
    ['signed six minutes ago', { signedAt: NOW - 360_000 }, 'stale'],
    ['signed six minutes ahead', { signedAt: NOW + 360_000 }, 'stale'],
  ];
  for (const [what, options, outcome] of refusals) {
    test(what, async (t) => {
      const { platform, deliver, counted } = openReceiver(t);
      platform.charge({ id: ID });
      assert.equal(await deliver(webhook(), options), '401 webhook_signature_invalid');
      assert.deepEqual(platform.answers(ID), []);
      assert.deepEqual(counted, [outcome]);
    });
  }

  test('signed, but not JSON', async (t) => {
    const { deliver, counted } = openReceiver(t);
    assert.equal(await deliver('{"id":'), '422 invalid_request');
    assert.deepEqual(counted, ['malformed']);
  });

  test('for a gateway that does not exist', async (t) => {
    const { deliver } = openReceiver(t);
    assert.equal(await deliver(webhook(), { path: '/webhooks/other' }), '404 not_found');
  });
});

describe('the real simulator', () => {
  for (const token of ['tok_async', 'tok_webhook_twice', 'tok_webhook_late']) {
    test(`${token} is approved by webhook, once, and all of its webhooks end up delivered`, async (t) => {
      const { app, platform, counted } = openReceiver(t, { now: Date.now });
      const receiver = await app.listen({ host: '127.0.0.1', port: 0 });
      const quick = { port: 0, asyncMs: 20, lateMs: 20, webhookRetryBaseMs: 300, log: () => undefined };
      const webhookUrl = `${receiver}/webhooks/simulator`;
      const simulator = createSimulator({ ...quick, webhookUrl, webhookSecret: SECRET });
      const { url } = await simulator.start();
      t.after(() => simulator.stop());
      const provider = createSimulatorProvider({ baseUrl: url, maxConnections: 4, webhookSecret: SECRET });
      const { executor, workList } = platform;
      const ports = { executor, workList, provider, clock: systemClock, random: Math.random, log: silent };
      const worker = createGatewayWorker(QUICK, { ...ports, onCall: () => undefined });
      t.after(() => worker.stop());
      platform.onCommitted = worker.onCommitted;
      worker.start();

      const { data } = platform.charge({ token });
      await eventually('all webhooks are delivered', async () => {
        const { webhooks } = (await (await fetch(`${url}/health`)).json()) as { webhooks: Record<string, number> };
        return webhooks.delivered === (token === 'tok_async' ? 1 : 2);
      });
      assert.deepEqual(platform.answers(data.payment_id), ['SUCCESS success']);
      assert.equal(counted.filter((outcome) => outcome === 'recorded').length, 1);
      const types = platform.events.map(({ type }) => type);
      assert.deepEqual(types, ['gateway.charge.sent', 'gateway.charge.answered']);
    });
  }
});
