import { Kind, type TSchema, Type, TypeRegistry } from '@sinclair/typebox';
import type { ErrorCode } from '../core/errors.ts';
import { currencyDecimals, type MinorUnits, parseAmount } from '../core/money.ts';
import { type FieldProblem, InvalidInputError } from './validation.ts';

const AMOUNT_INPUT = 'AmountInput';
const CURRENCY_INPUT = 'CurrencyInput';

// Their values are checked by `parseAmount`, whose refusals have codes of their own.
TypeRegistry.Set<TSchema>(AMOUNT_INPUT, () => true);
TypeRegistry.Set<TSchema>(CURRENCY_INPUT, () => true);

/** What the readers of amounts refuse with. */
export const AMOUNT_CODES = [
  'unknown_currency',
  'invalid_amount',
  'amount_not_positive',
  'amount_too_precise',
  'amount_too_large',
] as const satisfies readonly ErrorCode[];

/** An amount as clients send it: a JSON number or a decimal string, in major units. */
export const amountInput = (description: string) =>
  Type.Unsafe<unknown>({
    [Kind]: AMOUNT_INPUT,
    anyOf: [{ type: 'number' }, { type: 'string' }],
    description: `${description}; major units, a number or a decimal string, taken exactly`,
    examples: [100.5, '100.50'],
  });

/** A currency as clients send it. */
export const currencyInput = () =>
  Type.Unsafe<string>({ [Kind]: CURRENCY_INPUT, type: 'string', description: 'ISO 4217 code', examples: ['USD'] });

/** The problems that the schema of a body has found, where the route lets them be attached. */
export function problemsOf(validationError: unknown): readonly FieldProblem[] {
  return validationError instanceof InvalidInputError ? validationError.problems : [];
}

/**
 * Reads `amount` and `currency` of a body.
 * @param found what is wrong with the body already; the refusal names it too
 * @returns minor units
 * @throws InvalidInputError with everything that is wrong
 */
export function readMoney(body: unknown, found: readonly FieldProblem[] = []): MinorUnits {
  const { amount, currency } = (body ?? {}) as { readonly amount?: unknown; readonly currency?: unknown };
  const parsed = parseAmount(amount, currency as string);
  if (parsed.ok && found.length === 0) return parsed.value;
  // What is no object has no fields.
  if (found.some((problem) => problem.field === '')) throw new InvalidInputError(found);
  throw new InvalidInputError(withOthers(found, moneyProblems(amount, currency as string)));
}

/**
 * Refuses what does not fit its schema; an amount that would be wrong in every currency is named with it.
 * @throws InvalidInputError when anything was found
 */
export function refuseProblems(found: readonly FieldProblem[], body: unknown): void {
  if (found.length === 0) return;
  const amount: unknown = (body as { readonly amount?: unknown } | null | undefined)?.amount;
  const parsed = parseAmount(amount, MOST_DECIMALS);
  throw new InvalidInputError(
    parsed.ok || amount === undefined ? found : withOthers(found, [amountProblem(parsed.refusal)]),
  );
}

/** With an unknown currency the amount is still checked for what is wrong in every currency. */
function moneyProblems(amount: unknown, currency: string): readonly FieldProblem[] {
  const problems: FieldProblem[] = [];
  const known = currencyDecimals(currency) !== undefined;
  for (const parsed of [parseAmount(amount, currency), parseAmount(amount, known ? currency : MOST_DECIMALS)]) {
    if (!parsed.ok) problems.push(amountProblem(parsed.refusal));
  }
  return problems;
}

/** A currency with four decimals: what is wrong in it is wrong in all. */
const MOST_DECIMALS = 'CLF';

/** A refusal of `core/money.ts` as a problem of the field it names. */
export function amountProblem(refusal: {
  readonly code: string;
  readonly message: string;
  readonly field?: string;
}): FieldProblem {
  return { field: refusal.field ?? 'amount', message: refusal.message, code: refusal.code };
}

/** Both lists; of each field only the first problem. */
export function withOthers(first: readonly FieldProblem[], others: readonly FieldProblem[]): readonly FieldProblem[] {
  const byField = new Map<string, FieldProblem>();
  for (const problem of [...first, ...others]) if (!byField.has(problem.field)) byField.set(problem.field, problem);
  return [...byField.values()];
}
