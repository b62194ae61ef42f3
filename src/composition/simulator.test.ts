import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLog } from '#kernel/observability/log.ts';
import { processExists } from '#kernel/postgres/embedded/lock-file.ts';
import { readConfig } from '#src/config.ts';
import { runSimulator, type SimulatorProcess, webhookSecretOf } from './simulator.ts';

const LOG = createLog('silent');
const WEBHOOKS = 'http://127.0.0.1:9/';

/** A data folder on which servers run simulators, each stopped after the test. */
async function openFolder(t: TestContext) {
  const dataDir = await mkdtemp(join(tmpdir(), 'caudal-simulator-'));
  const config = readConfig({ CAUDAL_DATA: dataDir, SIMULATOR_PORT: '0' });
  const running: SimulatorProcess[] = [];
  t.after(async () => {
    for (const simulator of running) await simulator.stop();
    await rm(dataDir, { recursive: true });
  });
  const run = async (): Promise<SimulatorProcess> => {
    const simulator = await runSimulator(config, WEBHOOKS, 'secret', LOG);
    running.push(simulator);
    return simulator;
  };
  const pid = async () => Number(await readFile(join(dataDir, 'simulator.pid'), 'utf8'));
  return { config, run, pid };
}

async function charge(url: string, key: string): Promise<string> {
  const response = await fetch(`${url}/v1/charges`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify({ amount_minor: 100, currency: 'USD', payment_token: 'tok_visa', reference: key }),
  });
  return ((await response.json()) as { id: string }).id;
}

test('servers that start on one folder at the same time share one simulator', async (t) => {
  const { config, run } = await openFolder(t);
  const [one, two, three] = await Promise.all([run(), run(), run()]);
  assert.deepEqual([two.url, three.url], [one.url, one.url]);
  const log = await readFile(join(config.dataDir, 'simulator.log'), 'utf8');
  assert.equal(log.match(/The gateway simulator is at/g)?.length, 1);
});

test('one that is killed is started again once, at the same address and with its record', async (t) => {
  const { run, pid } = await openFolder(t);
  const [one] = await Promise.all([run(), run()]);
  const before = await pid();
  const first = await charge(one.url, 'key-1');
  process.kill(before, 'SIGKILL');
  while ((await pid()) === before) await sleep(50);
  const after = await pid();
  assert.equal(await charge(one.url, 'key-1'), first);
  await sleep(2500);
  assert.equal(await pid(), after, 'the other server has not started one more');
});

test("another folder's simulator at the address of the former one is left alone", async (t) => {
  const { config, run } = await openFolder(t);
  const other = createServer((_request, response) => response.end('{}')).listen(0, '127.0.0.1');
  t.after(() => other.close());
  await once(other, 'listening');
  const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
  await writeFile(join(config.dataDir, 'simulator.url'), url);
  await writeFile(join(config.dataDir, 'simulator.pid'), '999999999');
  assert.notEqual((await run()).url, url);
});

test('a stop in the middle of a restart leaves nothing running', async (t) => {
  const { config, run, pid } = await openFolder(t);
  const simulator = await run();
  process.kill(await pid(), 'SIGKILL');
  while (!existsSync(join(config.dataDir, 'simulator.lock'))) await sleep(10);
  await simulator.stop();
  assert.equal(processExists(await pid()), false);
});

test('servers that start together have one webhook secret', async (t) => {
  const { config } = await openFolder(t);
  const secrets = await Promise.all([1, 2, 3, 4].map(() => webhookSecretOf(config)));
  assert.match(secrets[0]!, /^[0-9a-f]{64}$/);
  assert.equal(new Set(secrets).size, 1);
});
