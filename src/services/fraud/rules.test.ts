import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { PaymentFacts } from './decider.ts';
import { judge, parseRules } from './rules.ts';

const DEFAULT_FILE = join(import.meta.dirname, '../../../config/fraud-rules.json');

/** 100.50 USD by card, the third payment of the customer in every window; and what is said differently. */
function payment(different: Partial<PaymentFacts> = {}): PaymentFacts {
  const usual = { amountMinor: 10_050, currency: 'USD', method: 'credit_card', customerId: 'customer-1' };
  return { ...usual, countIn: () => 3, ...different };
}

function rulesOf(...rules: readonly object[]): string {
  return JSON.stringify({ rules: rules.map((rule, i) => ({ name: `rule_${i}`, ...rule })) });
}

/** Whether a rule with this condition fires. */
const CONDITIONS: readonly (readonly [when: object, facts: Partial<PaymentFacts>, fires: boolean])[] = [
  [{ amount_gte: { USD: 100.5 } }, {}, true],
  [{ amount_gte: { USD: 100.51 } }, {}, false],
  [{ amount_gte: { EUR: 1 } }, {}, false],
  [{ amount_gte: { '*': 100.5 } }, {}, true],
  [{ amount_gt: { '*': 100.1 } }, { amountMinor: 10_010 }, false],
  [{ amount_gte: { '*': 100.5 } }, { amountMinor: 100, currency: 'JPY' }, false],
  [{ amount_gte: { '*': 100.5 } }, { amountMinor: 101, currency: 'JPY' }, true],
  [{ amount_gte: { '*': 1, USD: 101 } }, {}, false],
  [{ amount_gte: { '*': 10_050 } }, { currency: 'JPY' }, true],
  [{ amount_gte: { '*': 10_051 } }, { currency: 'JPY' }, false],
  [{ amount_gt: { USD: 100.5 } }, {}, false],
  [{ amount_gt: { USD: 100.49 } }, {}, true],
  [{ amount_lt: { USD: 100.5 } }, {}, false],
  [{ amount_lt: { USD: 100.51 } }, {}, true],
  [{ amount_lt: { EUR: 1_000 } }, {}, false],
  [{ currency_in: ['EUR', 'USD'] }, {}, true],
  [{ currency_in: ['EUR'] }, {}, false],
  [{ method_in: ['credit_card'] }, {}, true],
  [{ method_in: ['wallet'] }, {}, false],
  [{ customer_in: ['customer-1'] }, {}, true],
  [{ customer_in: ['customer-2'] }, {}, false],
  [{ payments_in_window: { seconds: 60, more_than: 2 } }, {}, true],
  [{ payments_in_window: { seconds: 60, more_than: 3 } }, {}, false],
  [{ method_in: ['credit_card'], customer_in: ['customer-1'] }, {}, true],
  [{ method_in: ['credit_card'], customer_in: ['customer-2'] }, {}, false],
];

for (const [when, facts, fires] of CONDITIONS) {
  test(`${JSON.stringify(when)} ${fires ? 'fires' : 'does not fire'} for ${facts.currency ?? 'USD'}`, () => {
    const rules = parseRules(rulesOf({ score: 10, when }));
    assert.deepEqual(judge(rules, payment(facts)), {
      declined: false,
      score: fires ? 10 : 0,
      fired: fires ? ['rule_0'] : [],
    });
  });
}

test('scores add up to a no, and every rule that fired is named', () => {
  const when = { method_in: ['credit_card'] };
  const never = { method_in: ['wallet'] };
  const rules = parseRules(rulesOf({ score: 60, when }, { score: 50, when: never }, { score: 50, when }));
  assert.deepEqual(judge(rules, payment()), { declined: true, score: 100, fired: ['rule_0', 'rule_2'] });
});

test('less than the threshold is a yes', () => {
  const when = { method_in: ['credit_card'] };
  assert.equal(judge(parseRules(rulesOf({ score: 60, when }, { score: 39, when })), payment()).declined, false);
  const strict = { threshold: 30, rules: [{ name: 'card', score: 30, when }] };
  assert.equal(judge(parseRules(JSON.stringify(strict)), payment()).declined, true);
});

test('one rule can decline by itself', () => {
  const rules = parseRules(rulesOf({ action: 'decline', when: { customer_in: ['customer-1'] } }));
  assert.deepEqual(judge(rules, payment()), { declined: true, score: 100, fired: ['rule_0'] });
});

const when = { method_in: ['wallet'] };
const BROKEN: readonly (readonly [name: string, text: string, problem: RegExp])[] = [
  ['no JSON', '{', /not JSON/],
  ['no rules', '{}', /\/rules/],
  ['an unknown property', '{"rules": [], "treshold": 5}', /\/treshold/],
  ['an unknown condition', rulesOf({ score: 5, when: { amount_eq: { USD: 5 } } }), /\/rules\/0\/when\/amount_eq/],
  ['no condition', rulesOf({ score: 5, when: {} }), /\/rules\/0\/when/],
  ['an unknown method', rulesOf({ score: 5, when: { method_in: ['cash'] } }), /\/rules\/0\/when\/method_in\/0/],
  ['an unknown currency', rulesOf({ score: 5, when: { amount_gt: { XXX: 5 } } }), /amount_gt\/XXX: XXX is not/],
  ['too many decimals', rulesOf({ score: 5, when: { amount_gt: { JPY: 0.5 } } }), /amount_gt\/JPY: JPY has 0 decimals/],
  [
    'a window past an hour',
    rulesOf({ score: 5, when: { payments_in_window: { seconds: 3601, more_than: 1 } } }),
    /seconds/,
  ],
  ['neither score nor action', rulesOf({ when }), /\/rules\/0: give either/],
  ['both score and action', rulesOf({ when, score: 5, action: 'decline' }), /\/rules\/0: give either/],
  ['a name twice', rulesOf({ name: 'x', when, score: 5 }, { name: 'x', when, score: 5 }), /\/rules\/1\/name: "x"/],
];

for (const [name, text, problem] of BROKEN) {
  test(`rules with ${name} are refused, saying where`, () => {
    assert.throws(() => parseRules(text), { name: 'DataError', message: problem });
  });
}

test('the rules that come with Caudal let ordinary load pass', async () => {
  const rules = parseRules(await readFile(DEFAULT_FILE, 'utf8'));
  const busy = { countIn: () => 100_000 };
  assert.deepEqual(judge(rules, payment({ method: 'wallet', ...busy })), { declined: false, score: 0, fired: [] });
  assert.deepEqual(judge(rules, payment(busy)), { declined: false, score: 60, fired: ['card_velocity'] });
  assert.deepEqual(judge(rules, payment({ amountMinor: 99_999_999 })).fired, []);
});

test('the rules that come with Caudal decline huge amounts and the blocked customer', async () => {
  const rules = parseRules(await readFile(DEFAULT_FILE, 'utf8'));
  assert.deepEqual(judge(rules, payment({ amountMinor: 100_000_000 })).fired, ['huge_amount']);
  assert.equal(judge(rules, payment({ amountMinor: 100_000_000 })).declined, true);
  assert.equal(judge(rules, payment({ customerId: 'blocked-customer' })).declined, true);
});
