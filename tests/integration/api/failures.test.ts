import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { RequestError, UnavailableError } from '#kernel/core/errors.ts';
import { createHealth } from '#kernel/observability/health.ts';
import { createLog } from '#kernel/observability/log.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import type { Executor } from '#kernel/processor/execute.ts';
import { createApi } from '#src/api/server.ts';
import { type InjectedApi, startInjectedApi } from '../../support/injected-api.ts';
import { until } from '../../support/until.ts';

const PAYMENT = { amount: 1, currency: 'USD', method: 'wallet', customer_id: 'c' };

function failing(error: Error): { readonly executor: Executor; readonly sql: Sql } {
  const fail = async (): Promise<never> => {
    throw error;
  };
  return { executor: { execute: fail, load: fail }, sql: { query: fail } };
}

describe('what the API makes of parts that fail', () => {
  let api: InjectedApi;
  before(async () => {
    api = await startInjectedApi();
  });
  after(() => api.close());

  const withFailure = (error: Error, lines: string[] = []) => {
    const { executor, sql } = failing(error);
    const log = createLog('info', { write: (line) => void lines.push(line) });
    const payments = { ...api.context.payments!, executor, sql };
    const rows = { get: () => Promise.reject(error) };
    const wallets = { ...api.context.wallets!, executor, sql, rows };
    return api.withContext({ payments, wallets, databases: [{ ...api.context.databases[0], sql }], log });
  };

  test('a database out of reach: 503, when to come back, and nothing about where it is', async () => {
    const lines: string[] = [];
    const broken = await withFailure(new UnavailableError('PostgreSQL at db.internal is out of reach'), lines);
    const requests = [
      broken.post('/payments', PAYMENT),
      broken.post('/payments/batch', { payments: [PAYMENT] }),
      broken.post('/wallets', { user_id: 'u', currency: 'USD' }),
      broken.get('/payments'),
      broken.get('/wallets/u'),
      broken.get('/api/v1/ledger/trial-balance'),
      broken.get('/api/v1/sagas'),
      broken.get('/api/v1/dlq'),
      broken.post('/api/v1/dlq/replay', {}),
    ];
    for (const { status, headers, body, text } of await Promise.all(requests)) {
      assert.deepEqual([status, body.code, headers['retry-after']], [503, 'unavailable', '1']);
      assert.doesNotMatch(text, /internal\b|db\./);
    }
    assert.deepEqual(lines, []);
  });

  test('a fault: 500 with no detail, logged with the trace id', async () => {
    const lines: string[] = [];
    const broken = await withFailure(new TypeError('x is not a function'), lines);
    const { status, body, text } = await broken.post('/payments', PAYMENT);
    assert.deepEqual([status, body.code], [500, 'internal_error']);
    assert.doesNotMatch(text, /not a function/);
    const [line] = lines.map((entry) => JSON.parse(entry));
    assert.deepEqual([line.level, line.trace_id, line.path], ['ERROR', body.trace_id, '/payments']);
    assert.match(line.error.message, /not a function/);
  });

  test('a full queue: 429 and when to come back', async () => {
    const full = await withFailure(new RequestError('too_many_requests', '10000 requests wait already', 2));
    const { status, body, headers } = await full.post('/payments', PAYMENT);
    assert.deepEqual([status, body.code, headers['retry-after']], [429, 'too_many_requests', '2']);
  });

  test('health: degraded is still 200, unhealthy is 503, alive is alive', async () => {
    const { clock } = api.context;
    const part = (critical: boolean) => ({
      name: 'part',
      critical,
      check: async () => ({ status: 'unhealthy' }) as const,
    });
    const degraded = await api.withContext({ health: createHealth([part(false)], clock, 1000) });
    const unhealthy = await api.withContext({ health: createHealth([part(true)], clock, 1000) });
    for (const path of ['/health', '/health/ready']) {
      assert.deepEqual([(await api.get(path)).status, (await api.get(path)).body.status], [200, 'healthy']);
      assert.deepEqual([(await degraded.get(path)).status, (await degraded.get(path)).body.status], [200, 'degraded']);
      const { status, body } = await unhealthy.get(path);
      assert.deepEqual([status, body.status, body.checks], [503, 'unhealthy', { part: { status: 'unhealthy' } }]);
    }
    assert.deepEqual([(await unhealthy.get('/health/live')).status], [200]);
    assert.deepEqual(Object.keys((await api.get('/health')).body.checks), ['database', 'bus']);
  });

  test('a port in use: one line that names PORT', async () => {
    const settings = { ...api.context.settings, port: 0 };
    const first = createApi({ ...api.context, settings });
    const port = Number(new URL((await first.start()).url).port);
    const second = createApi({ ...api.context, settings: { ...settings, port } });
    await assert.rejects(second.start(), new RegExp(`^Error: port ${port} is in use; set PORT to a free one$`));
    await second.stop();
    await first.stop();
  });

  test('a server that stops answers those who wait for their payment', async () => {
    const server = createApi({ ...api.context, settings: { ...api.context.settings, port: 0 } });
    const { url } = await server.start();
    const waiting = fetch(`${url}/payments`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', prefer: 'wait=30' },
      body: JSON.stringify({ ...PAYMENT, method: 'credit_card', customer_id: 'waiting' }),
    });
    await until('it was accepted', async () => (await api.get('/payments?customer_id=waiting')).body.data.length === 1);
    await server.stop();
    const answer = await waiting;
    assert.deepEqual([answer.status, ((await answer.json()) as { status: string }).status], [201, 'PENDING']);
  });

  test('bytes that are no HTTP get a problem document too', async () => {
    const server = createApi({ ...api.context, settings: { ...api.context.settings, port: 0 } });
    const { port } = new URL((await server.start()).url);
    const answer = await new Promise<string>((resolve, reject) => {
      let text = '';
      const socket = connect(Number(port), '127.0.0.1', () => socket.write('NONSENSE\r\n\r\n'));
      socket.on('data', (chunk) => {
        text += chunk;
      });
      socket.on('close', () => resolve(text));
      socket.on('error', reject);
    });
    await server.stop();
    assert.match(answer, /^HTTP\/1\.1 400 /);
    assert.match(answer, /x-trace-id: [0-9a-f]{32}/);
    assert.match(answer, /"code":"invalid_http"/);
  });
});
