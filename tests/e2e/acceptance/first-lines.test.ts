import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { finalPayment } from '../../support/money.ts';
import { startPlatform } from '../../support/platform.ts';

const platform = await startPlatform();
const { api } = platform;
const PAYMENT = '{"amount": 100.50, "currency": "USD", "method": "credit_card", "customer_id": "customer-123"}';

/** What curl prints; it needs no more than the program on the user's machine. */
async function curl(...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('curl', ['--silent', '--show-error', '--fail-with-body', ...args]);
  return stdout;
}

test('the four lines of the first start work as they are, with curl', async () => {
  const health = JSON.parse(await curl(`${api.url}/health`));
  assert.equal(health.status, 'healthy', JSON.stringify(health));
  assert.match(await curl(`${api.url}/metrics`), /^# HELP /m);
  const created = JSON.parse(
    await curl('-X', 'POST', `${api.url}/payments`, '-H', 'Content-Type: application/json', '-d', PAYMENT),
  );
  assert.deepEqual([created.status, created.amount, created.amount_minor], ['PENDING', 100.5, 10_050]);
  await finalPayment(api, created.id);
  const shown = JSON.parse(await curl(`${api.url}/payments/${created.id}`));
  assert.deepEqual([shown.status, shown.reason, shown.trace_id], ['APPROVED', 'success', created.trace_id]);
});

test('the same paths answer below the base path, and every answer carries a trace id', async () => {
  const created = await api.post('/api/v1/payments', PAYMENT);
  assert.equal(created.status, 201);
  assert.equal(created.headers.get('x-trace-id'), created.body.trace_id);
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  const traced = await api.post('/payments', PAYMENT, { traceparent });
  assert.equal(traced.body.trace_id, '4bf92f3577b34da6a3ce929d0e0e4736');
  for (const path of ['/health', '/health/live', '/health/ready', '/api/v1/payments', '/api/v1/nothing']) {
    assert.match((await api.get(path)).headers.get('x-trace-id') ?? '', /^[0-9a-f]{32}$/);
  }
});

test('Prefer: wait answers with the final status', async () => {
  const { status, body, headers } = await api.post('/payments', PAYMENT, { prefer: 'wait=20' });
  assert.deepEqual([status, body.status, headers.get('preference-applied')], [201, 'APPROVED', 'wait=20']);
});

test('the next start goes on with the same data', async (t) => {
  const { id } = (await api.post('/payments', PAYMENT, { prefer: 'wait=20' })).body;
  const started = performance.now();
  const later = await platform.restart(api);
  t.diagnostic(`stopped and started again in ${Math.round(performance.now() - started)} ms`);
  assert.equal((await later.get(`/payments/${id}`)).body.status, 'APPROVED');
});
