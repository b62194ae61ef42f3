import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createSimulator } from './server.ts';
import { type Answer, createClient, SECRET, startReceiver, startSimulator } from './test-support.ts';

async function newFile(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'caudal simulator '));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return join(folder, 'not yet there', 'record.jsonl');
}

test('after a restart charges, refunds and keys are as they were', async (t) => {
  const dataFile = await newFile(t);
  const before = await startSimulator(t, { dataFile });
  const { body: charge } = await before.charge('k1');
  await before.charge('k2', { payment_token: 'tok_declined' });
  await before.refund('r1', { charge_id: charge.id, amount_minor: 400 });
  const { body: record } = await before.get('/charges');
  await before.simulator.stop();

  const after = await startSimulator(t, { dataFile });
  assert.deepEqual((await after.get('/charges')).body, record);
  const repeated = await after.charge('k1');
  assert.deepEqual([repeated.status, repeated.body], [200, charge]);
  const tooMuch = await after.refund('r2', { charge_id: charge.id, amount_minor: 601 });
  assert.equal(tooMuch.body.refundable_minor, 600);
  assert.equal((await after.charge('k3')).status, 201);
  assert.equal((await after.get('/charges')).body.data.length, 3);
});

test('what was pending when it stopped is decided after the restart, and told by webhook', async (t) => {
  const dataFile = await newFile(t);
  const receiver = await startReceiver(t);
  const before = await startSimulator(t, { dataFile, asyncMs: 60_000 });
  const { body: charge } = await before.charge('k1', { payment_token: 'tok_async' });
  await before.simulator.stop();

  const after = await startSimulator(t, { dataFile, asyncMs: 0, webhookUrl: receiver.url });
  const [webhook] = await receiver.first(1);
  assert.deepEqual([webhook?.event.type, webhook?.event.data.id], ['charge.succeeded', charge.id]);
  await after.simulator.stop();

  const again = await startSimulator(t, { dataFile });
  assert.equal((await again.get('/v1/charges?idempotency_key=k1')).body.status, 'succeeded');
});

test('a reset is kept too', async (t) => {
  const dataFile = await newFile(t);
  const before = await startSimulator(t, { dataFile });
  await before.charge('k1');
  await before.request('POST', '/reset');
  await before.charge('k2');
  await before.simulator.stop();
  const after = await startSimulator(t, { dataFile });
  const keys = (await after.get('/charges')).body.data.map((charge: Answer['body']) => charge.idempotency_key);
  assert.deepEqual(keys, ['k2']);
});

test('a last line that was cut off is dropped, and the record goes on after it', async (t) => {
  const dataFile = await newFile(t);
  const before = await startSimulator(t, { dataFile });
  await before.charge('k1');
  await before.simulator.stop();
  await appendFile(dataFile, '{"charge":{"id":"ch_');

  const after = await startSimulator(t, { dataFile });
  assert.match(after.logged.join(), /incomplete and is cut off/);
  await after.charge('k2');
  await after.simulator.stop();
  const again = await startSimulator(t, { dataFile });
  assert.equal((await again.get('/charges')).body.data.length, 2);
});

test('a file that cannot be trusted is refused by name and line, and left alone', async (t) => {
  const dataFile = await newFile(t);
  const made = await startSimulator(t, { dataFile });
  await made.charge('k1');
  await made.simulator.stop();
  const good = await readFile(dataFile, 'utf8');
  const [header = '', charge = ''] = good.split('\n');
  const cases: [text: string, reason: RegExp][] = [
    ['some notes\n', /line 1/],
    ['x'.repeat(100_000), /lines are too long/],
    ['{"format":"something else"}\n', /line 1: it is not the record of a simulator/],
    ['{"format":"caudal-simulator","version":2}\n', /line 1: its version is 2, this simulator reads version 1/],
    [`${header}\n{"charge":\n`, /line 2/],
    [`${header}\n{"something":1}\n`, /line 2: it is neither a charge/],
    [`${good}${charge}\n`, /line 3: .* is out of place/],
    [`${good}{"settled":{"id":"ch_00000000000009","status":"succeeded"}}\n`, /line 3: it names ch_00000000000009/],
  ];
  for (const [text, reason] of cases) {
    await writeFile(dataFile, text);
    await assert.rejects(createSimulator({ port: 0, dataFile }).start(), (error: Error) => {
      assert.match(error.message, reason);
      assert.ok(error.message.includes(dataFile));
      return true;
    });
    assert.equal(await readFile(dataFile, 'utf8'), text);
  }
});

test('a record that cannot be written acknowledges nothing more, and what it acknowledged is kept', async (t) => {
  const dataFile = await newFile(t);
  const limited = createClient((await runMain(t, dataFile, 'ulimit -f 4 && exec "$0" "$@"')).url);
  const answers: Answer[] = [];
  for (let n = 0; n < 40; n++) answers.push(await limited.charge(`k${n}`));
  const kept = answers.findIndex(({ status }) => status !== 201);
  assert.ok(kept > 0);
  for (const { status, body } of answers.slice(kept)) assert.deepEqual([status, body.code], [500, 'internal_error']);
  assert.equal((await limited.get(`/v1/charges?idempotency_key=k${kept}`)).status, 500);

  const after = await startSimulator(t, { dataFile });
  const charges = (await after.get('/charges')).body.data.map((charge: Answer['body']) => charge.id);
  assert.deepEqual(
    charges,
    answers.slice(0, kept).map(({ body }) => body.id),
  );
});

test('killed under load, it forgets no charge that it acknowledged, and takes none twice', async (t) => {
  const dataFile = await newFile(t);
  const acknowledged = new Map<string, string>();
  const first = await runMain(t, dataFile);
  const client = createClient(first.url);
  async function chargeOn(worker: number): Promise<void> {
    for (let n = 0; ; n++) {
      const { body } = await client.charge(`w${worker}-${n}`);
      acknowledged.set(body.idempotency_key, body.id);
      if (acknowledged.size === 200) first.kill('SIGKILL');
    }
  }
  const ends = await Promise.allSettled([0, 1, 2, 3, 4, 5, 6, 7].map(chargeOn));
  assert.ok(ends.every(({ status }) => status === 'rejected'));

  const second = createClient((await runMain(t, dataFile)).url);
  assert.ok(acknowledged.size >= 200);
  for (const [key, id] of acknowledged) {
    const repeated = await second.charge(key);
    assert.deepEqual([repeated.status, repeated.body.id], [200, id]);
  }
});

/** The simulator in a process of its own, started by a line of shell; it ends with the test at the latest. */
async function runMain(t: TestContext, dataFile: string, shell = 'exec "$0" "$@"') {
  const env = { ...process.env, SIMULATOR_PORT: '0', SIMULATOR_DATA_FILE: dataFile, GATEWAY_WEBHOOK_SECRET: SECRET };
  const command = ['-c', shell, process.execPath, join(import.meta.dirname, 'main.ts')];
  const main = spawn('sh', command, { env, stdio: ['ignore', 'pipe', 'ignore'] });
  const exited = once(main, 'exit');
  t.after(async () => {
    main.kill('SIGTERM');
    await exited;
  });
  const [printed] = await once(main.stdout, 'data');
  const url = /http:\/\/\S+/.exec(String(printed))?.[0];
  assert.ok(url, `no address in: ${printed}`);
  assert.ok(!String(printed).includes(SECRET));
  return { url, kill: (signal: NodeJS.Signals) => main.kill(signal) };
}
