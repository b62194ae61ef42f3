import { type Static, Type } from '@sinclair/typebox';
import type { FastifyPluginAsync } from 'fastify';
import { nullableText, readOperation } from '#kernel/http/operation.ts';

const MAX_AGE_SECONDS = 300;

const ratesAnswer = Type.Object({
  base: nullableText('the currency that one unit is of; null: no rates are set'),
  as_of: nullableText('the day that they are of'),
  rates: Type.Record(Type.String(), Type.String(), {
    description: 'how much one unit is worth, decimal text by currency',
  }),
});

/** Exchange rates for display. */
export type ExchangeRates = Static<typeof ratesAnswer>;

const schema = readOperation({
  tag: 'config',
  summary: 'Exchange rates for display',
  description:
    'As the operator set them; nothing is converted: a payment is taken in the currency of its wallet or card.',
  answers: { 200: ratesAnswer },
});

/** `GET /rates`. They do not change while the process runs. */
export function ratesRoutes(rates: ExchangeRates): FastifyPluginAsync {
  return async (app) => {
    app.get('/rates', { schema }, async (_request, reply) =>
      reply.header('cache-control', `public, max-age=${MAX_AGE_SECONDS}`).send(rates),
    );
  };
}
