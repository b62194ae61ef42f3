import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { createSimulator } from './server.ts';
import { settingsFromEnv } from './settings.ts';
import { startSimulator } from './test-support.ts';

test('a port in use: the next free one is taken', async (t) => {
  const first = await startSimulator(t);
  const port = Number(new URL(first.url).port);
  const second = await startSimulator(t, { port });
  assert.ok(Number(new URL(second.url).port) > port);
  await first.charge('k1');
  assert.equal((await second.get('/health')).body.charges, 0);
});

test('no port left, or an address that is not here: one clear error that names the setting', async (t) => {
  const first = await startSimulator(t);
  const port = Number(new URL(first.url).port);
  const start = (options: object) => createSimulator({ host: '127.0.0.1', ...options }).start();
  await assert.rejects(start({ port, portTries: 1 }), /set SIMULATOR_PORT/);
  await assert.rejects(start({ port: 0, host: '203.0.113.1' }), /set SIMULATOR_HOST/);
});

test('bodies that are not JSON, not an object, not declared as JSON or too large are refused', async (t) => {
  const simulator = await startSimulator(t);
  const post = async (body: string, headers = {}) => {
    const answer = await simulator.request('POST', '/v1/charges', body, { 'Idempotency-Key': 'k1', ...headers });
    return [answer.status, answer.body.code];
  };
  assert.deepEqual(await post('{"amount_minor":'), [400, 'malformed_json']);
  for (const body of ['[]', 'null', '7', '"text"']) assert.deepEqual(await post(body), [400, 'malformed_json']);
  assert.deepEqual(await post('{}', { 'content-type': 'text/plain' }), [415, 'unsupported_media_type']);
  assert.deepEqual(await post(`"${'x'.repeat(65_535)}"`), [413, 'body_too_large']);
  assert.equal((await simulator.request('POST', '/v1/charges', undefined, { 'Idempotency-Key': 'k1' })).status, 400);
  assert.equal((await simulator.charge('k1')).status, 201);
});

test('an unknown path and a wrong method are told apart', async (t) => {
  const simulator = await startSimulator(t);
  for (const path of ['/nothing', '/v1/charges/a/b', '/constructor', '/v1/']) {
    assert.equal((await simulator.get(path)).body.code, 'path_not_found');
  }
  const { status, headers, body } = await simulator.request('DELETE', '/v1/charges');
  assert.deepEqual([status, body.code, headers.get('allow')], [405, 'method_not_allowed', 'POST, GET']);
});

test('stopped with calls open, it cuts them and is gone', async (t) => {
  const simulator = await startSimulator(t, { slowMs: 60_000, asyncMs: 60_000 });
  await simulator.charge('k1', { payment_token: 'tok_async' });
  const held = assert.rejects(simulator.charge('k2', { payment_token: 'tok_timeout_charged' }), /fetch failed/);
  while ((await simulator.get('/health')).body.held_calls === 0);
  await simulator.simulator.stop();
  await held;
  await assert.rejects(simulator.get('/health'), /fetch failed/);
});

test('settings come from the environment, with defaults; a wrong number is named', () => {
  const settings = settingsFromEnv({ SIMULATOR_PORT: '9000', SIMULATOR_SLOW_MS: '', GATEWAY_WEBHOOK_SECRET: 's' });
  assert.deepEqual(
    [settings.port, settings.slowMs, settings.host, settings.webhookSecret],
    [9000, 3000, '127.0.0.1', 's'],
  );
  assert.throws(() => settingsFromEnv({ SIMULATOR_ASYNC_MS: '1.5' }), /SIMULATOR_ASYNC_MS must be a whole number/);
});

test('run alone with a wrong setting, it says so in one line and fails', () => {
  const env = { ...process.env, SIMULATOR_PORT: 'abc' };
  const { status, stderr, stdout } = spawnSync(process.execPath, [join(import.meta.dirname, 'main.ts')], {
    env,
    encoding: 'utf8',
  });
  assert.equal(status, 1);
  assert.match(stderr, /^\{.*SIMULATOR_PORT must be a whole number.*\}\n$/);
  assert.equal(stdout, '');
});
