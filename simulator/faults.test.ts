import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Running, startSimulator } from './test-support.ts';

const NONE = { error_rate: 0, drop_rate: 0, latency_ms: 0, outage: false };

/** The outcome of one charge for each number: its status, or `cut` when the connection was. */
async function outcomes(simulator: Running, prefix: string, count: number): Promise<(number | 'cut')[]> {
  const list: (number | 'cut')[] = [];
  for (let n = 0; n < count; n++) {
    list.push(
      await simulator.charge(`${prefix}${n}`).then(
        ({ status }) => status,
        () => 'cut' as const,
      ),
    );
  }
  return list;
}

test('an outage answers 503 to every gateway call, takes nothing, and leaves the simulator itself in reach', async (t) => {
  const simulator = await startSimulator(t);
  await simulator.request('POST', '/faults', { outage: true });
  const { status, headers, body } = await simulator.charge('k1');
  assert.deepEqual([status, body.code, headers.get('retry-after')], [503, 'gateway_unavailable', '1']);
  assert.equal((await simulator.get('/v1/charges?idempotency_key=k1')).status, 503);
  assert.deepEqual((await simulator.get('/charges')).body.data, []);
  assert.equal((await simulator.get('/health')).body.faults.outage, true);
  await simulator.request('DELETE', '/faults');
  assert.equal((await simulator.charge('k1')).status, 201);
});

test('an outage can cut connections instead', async (t) => {
  const simulator = await startSimulator(t);
  await simulator.request('POST', '/faults', { outage: 'drop' });
  await assert.rejects(simulator.charge('k1'), /fetch failed/);
  assert.deepEqual((await simulator.get('/charges')).body.data, []);
});

test('an error rate fails that share of calls, none of which is carried out', async (t) => {
  const simulator = await startSimulator(t);
  await simulator.request('POST', '/faults', { error_rate: 0.5, seed: 7 });
  const list = await outcomes(simulator, 'k', 60);
  assert.deepEqual(new Set(list), new Set([201, 500]));
  const taken = (await simulator.get('/charges')).body.data.length;
  assert.equal(taken, list.filter((outcome) => outcome === 201).length);
});

test('the same seed chooses the same calls again', async (t) => {
  const simulator = await startSimulator(t);
  const faults = { error_rate: 0.3, drop_rate: 0.3, seed: 42 };
  await simulator.request('POST', '/faults', faults);
  const first = await outcomes(simulator, 'a', 40);
  await simulator.request('POST', '/faults', faults);
  assert.deepEqual(await outcomes(simulator, 'b', 40), first);
  assert.deepEqual(new Set(first), new Set([201, 500, 'cut']));
});

test('a cut connection leaves the caller in doubt: some of the calls were carried out', async (t) => {
  const simulator = await startSimulator(t);
  await simulator.request('POST', '/faults', { drop_rate: 1, seed: 1 });
  assert.deepEqual(new Set(await outcomes(simulator, 'k', 40)), new Set(['cut']));
  const taken = (await simulator.get('/charges')).body.data.length;
  assert.ok(taken > 0 && taken < 40, `${taken} of 40 were taken`);
});

test('with latency every call is still carried out, once', async (t) => {
  const simulator = await startSimulator(t);
  await simulator.request('POST', '/faults', { latency_ms: 30 });
  const answers = await Promise.all([simulator.charge('k1'), simulator.charge('k1'), simulator.charge('k2')]);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 201, 201]);
});

test('faults are set one by one, shown, and cleared', async (t) => {
  const simulator = await startSimulator(t);
  await simulator.request('POST', '/faults', { error_rate: 0.25, seed: 9 });
  const { body } = await simulator.request('POST', '/faults', { latency_ms: 1 });
  assert.deepEqual(body, { ...NONE, error_rate: 0.25, latency_ms: 1, seed: 9 });
  assert.deepEqual((await simulator.get('/faults')).body, body);
  assert.deepEqual((await simulator.request('DELETE', '/faults')).body, { ...NONE, seed: 9 });
});

test('a wrong fault is refused, and changes nothing', async (t) => {
  const simulator = await startSimulator(t);
  const { body: before } = await simulator.get('/faults');
  const wrong = { error_rate: 2, drop_rate: '1', latency_ms: -1, outage: 'yes', seed: 0.5, constructor: 1 };
  const { status, body } = await simulator.request('POST', '/faults', { ...wrong });
  assert.equal(status, 422);
  assert.deepEqual(
    body.errors.map(({ field }: { field: string }) => field),
    Object.keys(wrong),
  );
  assert.equal((await simulator.request('POST', '/faults', '[]')).status, 422);
  assert.deepEqual((await simulator.get('/faults')).body, before);
});
