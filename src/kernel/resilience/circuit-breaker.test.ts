import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../core/clock.ts';
import {
  CallTimeoutError,
  type CircuitBreakerSettings,
  CircuitOpenError,
  createCircuitBreaker,
} from './circuit-breaker.ts';

const fails = () => Promise.reject(new Error('down'));
const works = () => Promise.resolve('done');

function breakerAt(settings: Partial<CircuitBreakerSettings> = {}) {
  const clock = { ...systemClock, time: 1_000_000, now: () => clock.time };
  return { clock, breaker: createCircuitBreaker({ name: 'the gateway', clock, ...settings }) };
}

type Breaker = ReturnType<typeof createCircuitBreaker>;

async function failTimes(breaker: Breaker, times: number): Promise<void> {
  for (let i = 0; i < times; i++) await assert.rejects(breaker.execute(fails), /down/);
}

test('it opens after five failures in a row, and then rejects at once', async () => {
  const { breaker } = breakerAt();
  await failTimes(breaker, 5);
  assert.equal(breaker.allows(), false);
  await assert.rejects(
    breaker.execute(() => assert.fail('the call was made')),
    CircuitOpenError,
  );
  assert.deepEqual(breaker.metrics(), { name: 'the gateway', state: 'open', opened: 1, rejected: 1, openMs: 0 });
});

test('a success in between starts the count again', async () => {
  const { breaker } = breakerAt();
  await failTimes(breaker, 4);
  assert.equal(await breaker.execute(works), 'done');
  await failTimes(breaker, 4);
  assert.equal(breaker.metrics().state, 'closed');
});

test('a value that counts as a failure opens it, and is still returned', async () => {
  const { breaker } = breakerAt({ failures: 2, isFailure: (value) => value === 'bad' });
  for (let i = 0; i < 2; i++) assert.equal(await breaker.execute(async () => 'bad'), 'bad');
  assert.equal(breaker.metrics().state, 'open');
});

for (const behindMs of [0, 3_600_000])
  test(`the probe goes through although the system's clock was set back, the platform's by ${behindMs} ms`, async (t) => {
    const { clock, breaker } = breakerAt();
    await failTimes(breaker, 5);
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() - 3_600_000 });
    clock.time += 60_000 - behindMs;
    assert.equal(await breaker.execute(works), 'done');
  });

test('after a minute one probe goes through, others are rejected meanwhile, and its success closes it', async () => {
  const { clock, breaker } = breakerAt();
  await failTimes(breaker, 5);
  clock.time += 59_999;
  assert.equal(breaker.allows(), false);
  clock.time += 1;
  const answer = Promise.withResolvers<string>();
  const probe = breaker.execute(() => answer.promise);
  assert.equal(breaker.metrics().state, 'half_open');
  await assert.rejects(breaker.execute(works), CircuitOpenError);
  answer.resolve('done');
  assert.equal(await probe, 'done');
  assert.equal(await breaker.execute(works), 'done');
  assert.deepEqual(breaker.metrics(), { name: 'the gateway', state: 'closed', opened: 1, rejected: 1, openMs: 60_000 });
});

test('a probe that fails opens it again for another minute', async () => {
  const { clock, breaker } = breakerAt();
  await failTimes(breaker, 5);
  clock.time += 60_000;
  await failTimes(breaker, 1);
  clock.time += 59_999;
  await assert.rejects(breaker.execute(works), CircuitOpenError);
  clock.time += 1;
  assert.equal(await breaker.execute(works), 'done');
  assert.equal(breaker.metrics().opened, 2);
  assert.equal(breaker.metrics().openMs, 120_000);
});

test('a call that takes too long has failed, and its signal is aborted', async () => {
  const { breaker } = breakerAt({ timeoutMs: 5, failures: 1 });
  let given: AbortSignal | undefined;
  const endless = (signal: AbortSignal) => {
    given = signal;
    return new Promise<never>(() => undefined);
  };
  await assert.rejects(breaker.execute(endless), CallTimeoutError);
  assert.equal(given?.aborted, true);
  assert.equal(breaker.metrics().state, 'open');
});
