import { type Static, Type } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { DataError } from '#kernel/core/errors.ts';
import { CURRENCIES, currencyDecimals, parseLimit } from '#kernel/core/money.ts';
import { oneOf } from '#kernel/core/schemas.ts';
import { PAYMENT_METHODS } from '#services/payments/contract.ts';
import { MAX_SCORE, MAX_WINDOW_SECONDS, type PaymentFacts, type Verdict } from './decider.ts';

const MAX_RULES = 100;
const MAX_CUSTOMERS = 100_000;

const amounts = Type.Record(Type.String({ pattern: '^([A-Z]{3}|\\*)$' }), Type.Number({ minimum: 0 }), {
  additionalProperties: false,
  description: 'major units by currency; `*` stands for every currency that is not named',
});

const conditions = Type.Object(
  {
    amount_gte: Type.Optional(amounts),
    amount_gt: Type.Optional(amounts),
    amount_lt: Type.Optional(amounts),
    currency_in: Type.Optional(Type.Array(oneOf(CURRENCIES), { minItems: 1 })),
    method_in: Type.Optional(Type.Array(oneOf(PAYMENT_METHODS), { minItems: 1 })),
    customer_in: Type.Optional(Type.Array(Type.String({ minLength: 1 }), { minItems: 1, maxItems: MAX_CUSTOMERS })),
    payments_in_window: Type.Optional(
      Type.Object(
        {
          seconds: Type.Integer({ minimum: 1, maximum: MAX_WINDOW_SECONDS }),
          more_than: Type.Integer({ minimum: 0, description: 'of all payments of the customer, this one included' }),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false, minProperties: 1, description: 'all of them must hold' },
);

const rule = Type.Object(
  {
    name: Type.String({ pattern: '^[a-z0-9_-]{1,64}$' }),
    score: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_SCORE })),
    action: Type.Optional(oneOf(['decline'], 'whatever the other rules say')),
    when: conditions,
  },
  { additionalProperties: false },
);

const file = Type.Object(
  {
    threshold: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: MAX_SCORE,
        description: 'scores that add up to this decline; 100 when absent',
      }),
    ),
    rules: Type.Array(rule, { maxItems: MAX_RULES }),
  },
  { additionalProperties: false },
);

type Conditions = Static<typeof conditions>;

interface FraudRule {
  readonly name: string;
  readonly score: number;
  matches(payment: PaymentFacts): boolean;
}

/** Rules that were read and found right, ready to judge with. */
export interface FraudRules {
  readonly threshold: number;
  readonly rules: readonly FraudRule[];
}

const compiled = TypeCompiler.Compile(file);

/**
 * Reads rules from JSON text.
 * @throws DataError that says what is wrong, and where in the text's structure
 */
export function parseRules(text: string): FraudRules {
  const content = parseJson(text);
  if (!compiled.Check(content)) {
    const first = compiled.Errors(content).First();
    throw new DataError(`${first?.path || '/'}: ${first?.message ?? 'is not a list of rules'}`);
  }
  const names = new Set<string>();
  const rules = content.rules.map(({ name, score, action, when }, i) => {
    if (names.has(name)) throw new DataError(`/rules/${i}/name: "${name}" is the name of an earlier rule`);
    names.add(name);
    if ((score === undefined) === (action === undefined)) {
      throw new DataError(`/rules/${i}: give either a score or an action`);
    }
    return { name, score: score ?? MAX_SCORE, matches: compile(when, `/rules/${i}/when`) };
  });
  return { threshold: content.threshold ?? MAX_SCORE, rules };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new DataError(`the file is not JSON: ${(cause as Error).message}`, { cause });
  }
}

/** Judges a payment by the rules: the only place where a payment is found good or bad. */
export function judge({ threshold, rules }: FraudRules, payment: PaymentFacts): Verdict {
  let score = 0;
  const fired: string[] = [];
  for (const candidate of rules) {
    if (!candidate.matches(payment)) continue;
    score += candidate.score;
    fired.push(candidate.name);
  }
  return { declined: score >= threshold, score: Math.min(score, MAX_SCORE), fired };
}

/** One function that holds when all conditions do; those that cost more come later. */
function compile(when: Conditions, path: string): FraudRule['matches'] {
  const { currency_in, method_in, customer_in, payments_in_window: window } = when;
  const tests: FraudRule['matches'][] = [];
  const add = <T>(value: T | undefined, test: (value: T) => FraudRule['matches']) => {
    if (value !== undefined) tests.push(test(value));
  };
  add(
    setOf(method_in),
    (methods) =>
      ({ method }) =>
        methods.has(method),
  );
  add(
    setOf(currency_in),
    (currencies) =>
      ({ currency }) =>
        currencies.has(currency),
  );
  add(
    limitsOf(when, 'amount_gte', path),
    (limits) =>
      ({ amountMinor, currency }) =>
        amountMinor >= (limits.get(currency) ?? Infinity),
  );
  add(
    limitsOf(when, 'amount_gt', path),
    (limits) =>
      ({ amountMinor, currency }) =>
        amountMinor > (limits.get(currency) ?? Infinity),
  );
  add(
    limitsOf(when, 'amount_lt', path),
    (limits) =>
      ({ amountMinor, currency }) =>
        amountMinor < (limits.get(currency) ?? -Infinity),
  );
  add(
    setOf(customer_in),
    (customers) =>
      ({ customerId }) =>
        customers.has(customerId),
  );
  add(
    window,
    ({ seconds, more_than }) =>
      ({ countIn }) =>
        countIn(seconds) > more_than,
  );
  return (payment) => tests.every((test) => test(payment));
}

function setOf(words: readonly string[] | undefined): ReadonlySet<string> | undefined {
  return words && new Set(words);
}

/** A condition's amounts in minor units by currency. */
function limitsOf(
  when: Conditions,
  condition: 'amount_gte' | 'amount_gt' | 'amount_lt',
  path: string,
): ReadonlyMap<string, number> | undefined {
  const majors = when[condition];
  if (majors === undefined) return undefined;
  const limits = new Map<string, number>();
  const { '*': anyOther, ...named } = majors;
  if (anyOther !== undefined) {
    for (const currency of CURRENCIES) {
      const exact = parseLimit(anyOther, currency, 'amount');
      // Not every currency has its decimals, or can have that much: the limit then lies between or above all amounts.
      limits.set(currency, exact.ok ? exact.value : anyOther * 10 ** (currencyDecimals(currency) ?? 0));
    }
  }
  for (const [currency, major] of Object.entries(named)) {
    limits.set(currency, toMinor(major, currency, `${path}/${condition}/${currency}`));
  }
  return limits;
}

function toMinor(major: number, currency: string, path: string): number {
  if (currencyDecimals(currency) === undefined) throw new DataError(`${path}: ${currency} is not an ISO 4217 code`);
  const parsed = parseLimit(major, currency, 'amount');
  if (parsed.ok) return parsed.value;
  throw new DataError(`${path}: ${parsed.refusal.message}`);
}
