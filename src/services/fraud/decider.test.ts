import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { given, NOW } from '../../../tests/support/given.ts';
import { type CheckPayment, countSince, createFraudDecider, type PaymentFacts } from './decider.ts';

const YES = { declined: false, score: 0, fired: [] };

function check(n: number): CheckPayment {
  return {
    type: 'CheckPayment',
    paymentId: `019aaf00-0000-7000-8000-${String(n).padStart(12, '0')}`,
    customerId: 'customer-1',
    amountMinor: 10_050,
    currency: 'USD',
    method: 'wallet',
    traceId: 'a'.repeat(32),
  };
}

/** The state after checks at these moments (ms after NOW). */
function stateAfter(times: readonly number[]) {
  const decider = createFraudDecider(() => YES);
  let state = decider.initial;
  for (const [n, time] of times.entries()) {
    const result = decider.decide(check(n), state, { now: NOW + time });
    if (result.ok) state = result.value.reduce(decider.evolve, state);
  }
  return state;
}

test('a yes says so', () => {
  given(
    createFraudDecider(() => ({ declined: false, score: 60, fired: ['busy'] })),
    [],
  )
    .when(check(1))
    .thenEvents({
      type: 'payments.checked',
      data: { id: check(1).paymentId, status: 'APPROVED', reason: 'approved', score: 60, rules: ['busy'] },
    });
});

test('a no names the rules that fired', () => {
  given(
    createFraudDecider(() => ({ declined: true, score: 100, fired: ['huge', 'busy'] })),
    [],
  )
    .when(check(1))
    .thenEvents({
      type: 'payments.checked',
      data: { status: 'DECLINED', reason: 'fraud_detected', score: 100, rules: ['huge', 'busy'] },
    });
});

test('the rules are told all about the payment, itself counted', () => {
  let told: PaymentFacts | undefined;
  const decider = createFraudDecider((facts) => {
    told = facts;
    return YES;
  });
  const { events } = given(decider, []).when(check(1));
  given(decider, events).when(check(2));
  assert.partialDeepStrictEqual(told, {
    amountMinor: 10_050,
    currency: 'USD',
    method: 'wallet',
    customerId: 'customer-1',
  });
  assert.equal(told?.countIn(60), 2);
});

test('a payment that comes again soon is not judged again', () => {
  const decider = createFraudDecider(() => YES);
  const { events } = given(decider, []).when(check(1));
  given(decider, events).when(check(1)).thenNothing();
});

test('counts in seconds', () => {
  const state = stateAfter([0, 100, 1_500, 30_000, 59_999]);
  assert.equal(countSince(state, NOW + 59_999, 60), 5);
  assert.equal(countSince(state, NOW + 59_999, 1), 1);
  assert.equal(countSince(state, NOW + 62_000, 60), 2);
  assert.equal(countSince(state, NOW + 3_600_000, 60), 0);
});

test('counts in minutes', () => {
  const state = stateAfter([0, 60_000, 120_000, 3_599_000]);
  assert.equal(countSince(state, NOW + 3_599_000, 3_600), 4);
  assert.equal(countSince(state, NOW + 3_599_000, 600), 1);
  assert.equal(countSince(state, NOW + 7_300_000, 3_600), 0);
});

test('a count is never too small, and too large by no more than one second or minute', () => {
  const times = fc.array(fc.nat(600_000), { maxLength: 60 }).map((moments) => moments.sort((a, b) => a - b));
  fc.assert(
    fc.property(times, fc.integer({ min: 1, max: 3_600 }), (moments, seconds) => {
      const state = stateAfter(moments);
      const now = moments.at(-1) ?? 0;
      const slack = seconds <= 60 ? 1_000 : 60_000;
      const within = (ms: number) => moments.filter((time) => time > now - ms).length;
      const counted = countSince(state, NOW + now, seconds);
      assert.ok(counted >= within(seconds * 1000), `${counted} < ${within(seconds * 1000)}`);
      assert.ok(counted <= within(seconds * 1000 + slack), `${counted} > ${within(seconds * 1000 + slack)}`);
    }),
  );
});

test('what is remembered of a customer stays small, however many payments there are', () => {
  const state = stateAfter(Array.from({ length: 20_000 }, (_, i) => i * 400));
  assert.ok(JSON.stringify(state).length < 4_000);
});

test('a state that went through JSON is the same', () => {
  const state = stateAfter([0, 100, 1_500, 90_000]);
  assert.deepEqual(JSON.parse(JSON.stringify(state)), state);
});
