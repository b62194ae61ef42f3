import assert from 'node:assert/strict';
import { once } from 'node:events';
import http, { type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { GatewayProvider, GatewayRequest } from './provider.ts';
import { createSimulatorProvider } from './providers/simulator.ts';

const request: GatewayRequest = {
  kind: 'charge',
  id: 'p1',
  payment_id: 'p1',
  idempotency_key: 'key & 1',
  amount_minor: 100,
  currency: 'USD',
  payment_token: null,
};
const patient = new AbortController().signal;

/** A provider whose gateway answers as the test says. */
async function gatewayThat(t: TestContext, answers: RequestListener): Promise<GatewayProvider> {
  const server = http.createServer(answers).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const provider = createSimulatorProvider({
    baseUrl: `http://127.0.0.1:${port}`,
    maxConnections: 2,
    webhookSecret: undefined,
  });
  t.after(() => {
    provider.close();
    server.closeAllConnections();
    server.close();
  });
  return provider;
}

test('a call that no server takes was not sent', async () => {
  const server = http.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  for (const host of [`127.0.0.1:${port}`, 'nowhere.invalid']) {
    const lost = createSimulatorProvider({ baseUrl: `http://${host}`, maxConnections: 1, webhookSecret: undefined });
    assert.deepEqual(await lost.charge(request, patient), { outcome: 'not_sent', reason: 'gateway_unavailable' });
  }
});

test('a connection that is cut after the call arrived leaves the outcome unknown', async (t) => {
  const provider = await gatewayThat(t, (_request, response) => response.destroy());
  assert.deepEqual(await provider.charge(request, patient), { outcome: 'unknown', reason: 'connection_lost' });
});

test('so does an answer that is cut off, or longer than any real one', async (t) => {
  const half = await gatewayThat(t, (_request, response) => {
    response.writeHead(201, { 'content-length': 100 });
    response.write('{"id":', () => response.destroy());
  });
  assert.deepEqual(await half.charge(request, patient), { outcome: 'unknown', reason: 'connection_lost' });
  const endless = await gatewayThat(t, (_request, response) => response.end(`"${'x'.repeat(1_000_000)}"`));
  assert.deepEqual(await endless.charge(request, patient), { outcome: 'unknown', reason: 'connection_lost' });
});

test('a call that its caller gives up leaves the outcome unknown', async (t) => {
  const arrived = Promise.withResolvers<void>();
  const provider = await gatewayThat(t, () => arrived.resolve());
  const caller = new AbortController();
  const call = provider.charge(request, caller.signal);
  await arrived.promise;
  caller.abort();
  assert.deepEqual(await call, { outcome: 'unknown', reason: 'timeout' });
});

test('answers that are not a charge are errors of the gateway', async (t) => {
  const answers: readonly [status: number, body: string, reason: string][] = [
    [200, '<html>welcome</html>', 'malformed_answer'],
    [201, '{"id": "ch_1", "status": "maybe"}', 'malformed_answer'],
    [502, '<html>bad gateway</html>', 'gateway_error'],
    [503, '{"code": "gateway_unavailable"}', 'gateway_unavailable'],
    [429, '{"code": "slow_down"}', 'gateway_error'],
    [404, '{"code": "path_not_found"}', 'gateway_error'],
  ];
  for (const [status, body, reason] of answers) {
    const provider = await gatewayThat(t, (_request, response) => response.writeHead(status).end(body));
    assert.deepEqual(await provider.charge(request, patient), { outcome: 'error', reason });
    assert.deepEqual(await provider.lookUp(request, patient), { outcome: 'error', reason });
  }
});

test('only a 404 about the charge itself says that it was never made', async (t) => {
  let asked: string | undefined;
  const provider = await gatewayThat(t, ({ url }, response) => {
    asked = url;
    response.writeHead(404).end('{"code": "charge_not_found"}');
  });
  assert.deepEqual(await provider.lookUp(request, patient), { outcome: 'not_found' });
  assert.equal(asked, '/v1/charges?idempotency_key=key%20%26%201');
});
