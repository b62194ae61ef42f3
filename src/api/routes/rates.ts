import { readFile } from 'node:fs/promises';
import { type Static, Type } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import type { FastifyPluginAsync } from 'fastify';
import { toError } from '#kernel/core/errors.ts';
import { CURRENCIES } from '#kernel/core/money.ts';
import { nullableText, readOperation } from '#kernel/http/operation.ts';

const MAX_AGE_SECONDS = 300;

const ratesSchema = Type.Object(
  {
    base: Type.String({ pattern: '^[A-Z]{3}$', description: 'the currency that one unit is of' }),
    as_of: Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}$', description: 'the day that they are of' }),
    rates: Type.Record(Type.String({ pattern: '^[A-Z]{3}$' }), Type.String({ pattern: '^\\d{1,12}(\\.\\d{1,12})?$' }), {
      additionalProperties: false,
      description: 'how much one unit is worth, decimal text by currency',
    }),
  },
  { additionalProperties: false },
);
const check = TypeCompiler.Compile(ratesSchema);

/** Exchange rates as the operator's file has them; without a file there are none. */
export type ExchangeRates =
  | Static<typeof ratesSchema>
  | { readonly base: null; readonly as_of: null; readonly rates: object };

const NONE: ExchangeRates = { base: null, as_of: null, rates: {} };

/**
 * Reads the file that RATES_FILE names.
 * @throws Error one line that names the setting and what is wrong
 */
export async function loadExchangeRates(path: string | undefined): Promise<ExchangeRates> {
  if (path === undefined) return NONE;
  try {
    const rates: unknown = JSON.parse(await readFile(path, 'utf8'));
    const problem = check.Errors(rates).First();
    if (problem !== undefined) throw new Error(`${problem.path || 'the file'}: ${problem.message}`);
    const { base, rates: byCurrency } = rates as Static<typeof ratesSchema>;
    const unknown = [base, ...Object.keys(byCurrency)].find(
      (code) => !(CURRENCIES as readonly string[]).includes(code),
    );
    if (unknown !== undefined) throw new Error(`${unknown} is not a currency`);
    return rates as ExchangeRates;
  } catch (cause) {
    throw new Error(`the exchange rates ${path} cannot be used (${toError(cause).message}); see RATES_FILE`, { cause });
  }
}

const schema = readOperation({
  tag: 'config',
  summary: 'Exchange rates for display',
  description:
    'As the operator set them; nothing is converted: a payment is taken in the currency of its wallet or card.',
  answers: {
    200: Type.Object({
      base: nullableText('null: no rates are set'),
      as_of: nullableText(),
      rates: Type.Record(Type.String(), Type.String()),
    }),
  },
});

/** `GET /rates`. They do not change while the process runs. */
export function ratesRoutes(rates: ExchangeRates): FastifyPluginAsync {
  return async (app) => {
    app.get('/rates', { schema }, async (_request, reply) =>
      reply.header('cache-control', `public, max-age=${MAX_AGE_SECONDS}`).send(rates),
    );
  };
}
