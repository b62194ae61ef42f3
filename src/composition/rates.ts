import { readFile } from 'node:fs/promises';
import { type Static, Type } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { toError } from '#kernel/core/errors.ts';
import { CURRENCIES } from '#kernel/core/money.ts';
import type { ExchangeRates } from '#src/api/routes/rates.ts';

const CODE = '^[A-Z]{3}$';

const ratesFile = Type.Object(
  {
    base: Type.String({ pattern: CODE }),
    as_of: Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}$' }),
    rates: Type.Record(Type.String({ pattern: CODE }), Type.String({ pattern: '^\\d{1,12}(\\.\\d{1,12})?$' }), {
      additionalProperties: false,
    }),
  },
  { additionalProperties: false },
);
const check = TypeCompiler.Compile(ratesFile);

const NONE: ExchangeRates = { base: null, as_of: null, rates: {} };

/**
 * Reads the exchange rates of the file that RATES_FILE names; without one there are none.
 * @throws Error one line that names the setting and what is wrong
 */
export async function loadExchangeRates(path: string | undefined): Promise<ExchangeRates> {
  if (path === undefined) return NONE;
  try {
    const rates: unknown = JSON.parse(await readFile(path, 'utf8'));
    const problem = check.Errors(rates).First();
    if (problem !== undefined) throw new Error(`${problem.path || 'the file'}: ${problem.message}`);
    const { base, rates: byCurrency } = rates as Static<typeof ratesFile>;
    const unknown = [base, ...Object.keys(byCurrency)].find(
      (code) => !(CURRENCIES as readonly string[]).includes(code),
    );
    if (unknown !== undefined) throw new Error(`${unknown} is not a currency`);
    return rates as Static<typeof ratesFile>;
  } catch (cause) {
    throw new Error(`the exchange rates ${path} cannot be used (${toError(cause).message}); see RATES_FILE`, { cause });
  }
}
