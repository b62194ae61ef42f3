import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestPlatform, QUICK, type TestPlatform } from './test-support.ts';

const ANSWER = {
  reason: 'success',
  gateway_payment_id: 'ch_1',
  transaction_id: 'txn_1',
  idempotency_key: 'k',
  amount_minor: 10_050,
  currency: 'USD',
};

/** A platform with one charge, and what changes it. */
function withCharge() {
  const platform = createTestPlatform();
  const { data, time } = platform.charge({ token: 'tok_visa' });
  const row = () => rowOf(platform, data.payment_id);
  const record = async (command: object) => {
    const commands = [{ aggregate: 'charge', id: data.payment_id, command: { operation: row(), ...command } }];
    await platform.executor.execute({ commands, traceId: data.trace_id, answer: () => null });
  };
  return { platform, time, row, record, id: data.payment_id };
}

function rowOf({ rows }: TestPlatform, id: string) {
  const row = rows.get(`${id}/charge`);
  assert.ok(row !== undefined);
  return row;
}

test('a request starts a row that is leased to who consumes it', () => {
  const { row, time } = withCharge();
  assert.partialDeepStrictEqual(row(), {
    kind: 'charge',
    state: 'requested',
    payment_token: 'tok_visa',
    attempts: 0,
    calls: 0,
    next_attempt_at: time + QUICK.leaseMs,
  });
});

test('a final answer ends it', async () => {
  const { row, record } = withCharge();
  await record({ type: 'RecordAnswer', answer: { ...ANSWER, status: 'succeeded' } });
  assert.partialDeepStrictEqual(row(), {
    state: 'answered',
    status: 'SUCCESS',
    gateway_payment_id: 'ch_1',
    transaction_id: 'txn_1',
    next_attempt_at: null,
  });
});

test('what is open says why, how often it was tried, and when it is tried next', async () => {
  const { row, record } = withCharge();
  const nextAttemptAt = Date.now() + 5_000;
  await record({ type: 'RecordNotTaken', reason: 'gateway_unavailable', called: false, nextAttemptAt });
  const unavailable = { state: 'not_taken', reason: 'gateway_unavailable', attempts: 1, calls: 0 };
  assert.partialDeepStrictEqual(row(), { ...unavailable, next_attempt_at: nextAttemptAt });
  await record({ type: 'RecordUnknown', reason: 'timeout', called: true, nextAttemptAt: nextAttemptAt + 1 });
  const timedOut = { state: 'unknown', reason: 'timeout', attempts: 2, calls: 1 };
  assert.partialDeepStrictEqual(row(), { ...timedOut, next_attempt_at: nextAttemptAt + 1 });
  await record({ type: 'RecordUnknown', reason: 'timeout', called: true, nextAttemptAt: nextAttemptAt + 2 });
  assert.partialDeepStrictEqual(row(), { ...timedOut, attempts: 3, calls: 2 });
});

test('what the gateway will tell by itself is looked up when it does not', async () => {
  const { row, record } = withCharge();
  const before = Date.now();
  await record({ type: 'RecordAnswer', answer: { ...ANSWER, status: 'pending' }, nextAttemptAt: before });
  assert.equal(row().state, 'pending');
  assert.ok(Number(row().next_attempt_at) >= before + QUICK.pendingRetry.initialMs);
});

test('asked again: an open charge is due at once, an answered one stays answered', async () => {
  const { platform, row, record, id } = withCharge();
  platform.charge({ id, attempt: 2 });
  assert.equal(row().next_attempt_at, platform.events.at(-1)?.time);
  assert.equal(row().state, 'requested');
  await record({ type: 'RecordAnswer', answer: { ...ANSWER, status: 'succeeded' } });
  const answered = row();
  platform.charge({ id, attempt: 3 });
  assert.deepEqual(row(), answered);
});
