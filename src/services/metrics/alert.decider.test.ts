import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALERT_NAMES, alertsFor, type Sample } from './alert.decider.ts';

const CALM: Sample = {
  requests: { count: 1000, p95: 20, p99: 50 },
  lag: { payments: 3, wallets: 0 },
  pool: 0.2,
  cpu: 0.3,
  memory: 0.4,
  breakersOpen: { simulator: 0 },
  deadLetters: 0,
  stuckSagas: 0,
  brokenInvariants: [],
};

function names(sample: Sample): readonly string[] {
  return alertsFor(sample).map(({ name, severity }) => `${name} ${severity}`);
}

test('nothing is wrong with a calm process, nor exactly at the limits', () => {
  assert.deepEqual(alertsFor(CALM), []);
  const atLimits: Sample = {
    ...CALM,
    requests: { count: 1, p95: 500, p99: 1000 },
    lag: { payments: 1000 },
    pool: 0.8,
    cpu: 0.7,
    memory: 0.8,
    breakersOpen: { simulator: 0.1 },
  };
  assert.deepEqual(alertsFor(atLimits), []);
});

test('each limit has its alert', () => {
  const bad: Sample = {
    requests: { count: 10, p95: 600, p99: 2000 },
    lag: { payments: 20_000, wallets: 2000 },
    pool: 0.95,
    cpu: 0.9,
    memory: 0.9,
    breakersOpen: { simulator: 0.5 },
    deadLetters: 1,
    stuckSagas: 2,
    brokenInvariants: [{ invariant: 'balanced', count: 1, message: 'the ledger is off by 1 USD' }],
  };
  assert.deepEqual(
    alertsFor(bad).map(({ name }) => name),
    ALERT_NAMES,
  );
});

test('lag, pool and memory warn before they are critical', () => {
  assert.deepEqual(names({ ...CALM, lag: { payments: 1001 } }), ['consumer_lag warning']);
  assert.deepEqual(names({ ...CALM, lag: { payments: 10_001 } }), ['consumer_lag critical']);
  assert.deepEqual(names({ ...CALM, pool: 0.85 }), ['database_pool warning']);
  assert.deepEqual(names({ ...CALM, pool: 0.91 }), ['database_pool critical']);
  assert.deepEqual(names({ ...CALM, memory: 0.83 }), ['memory warning']);
  assert.deepEqual(names({ ...CALM, memory: 0.86 }), ['memory critical']);
});

test('a message names the bottleneck', () => {
  const slow = { ...CALM, requests: { count: 1, p95: 100, p99: 3000 } };
  assert.match(alertsFor({ ...slow, cpu: 0.9 })[0]!.message, /CPU is the bottleneck: add instances/);
  assert.match(alertsFor({ ...slow, pool: 0.85 })[0]!.message, /DATABASE_POOL_SIZE/);
  assert.match(alertsFor(slow)[0]!.message, /queries and commits/);
  assert.match(alertsFor({ ...CALM, lag: { fraud: 5000, wallets: 2000 } })[0]!.message, /fraud is 5000 events behind/);
});

test('a broken invariant is told of by its first offence, and how many there are', () => {
  const first = { invariant: 'taken_once', count: 2, message: 'payment p: taken 2 times (event e, wallet.debited)' };
  const [one] = alertsFor({ ...CALM, brokenInvariants: [{ ...first, count: 1 }] });
  assert.match(
    one!.message,
    /^taken_once: payment p: taken 2 times \(event e, wallet\.debited\): stop taking payments/,
  );
  const other = { invariant: 'balanced', count: 1, message: 'the ledger is off' };
  const [more] = alertsFor({ ...CALM, brokenInvariants: [first, other] });
  assert.match(more!.message, /^taken_once: payment p.+\), and 2 more: stop.+docs\/runbooks\/broken-invariant\.md$/);
});
