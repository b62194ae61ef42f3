import { Type } from '@sinclair/typebox';
import type { FastifyPluginAsync } from 'fastify';
import { CURRENCIES, currencyDecimals } from '#kernel/core/money.ts';
import { readOperation } from '#kernel/http/operation.ts';
import { PAYMENT_METHODS } from '#services/payments/contract.ts';
import type { ApiSettings } from '../context.ts';

const HOUR_SECONDS = 3600;

const schema = readOperation({
  tag: 'config',
  summary: 'Currencies, methods and public settings',
  answers: {
    200: Type.Object({
      currencies: Type.Array(Type.Object({ code: Type.String(), decimals: Type.Integer() })),
      methods: Type.Array(Type.String()),
      settings: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()])),
    }),
  },
});

/** `GET /config`: what clients need to know beforehand. It does not change while the process runs. */
export function configRoutes(settings: ApiSettings): FastifyPluginAsync {
  const body = {
    currencies: CURRENCIES.map((code) => ({ code, decimals: currencyDecimals(code)! })),
    methods: [...PAYMENT_METHODS],
    settings: { ...settings.publicSettings },
  };
  return async (app) => {
    app.get('/config', { schema }, async (_request, reply) =>
      reply.header('cache-control', `public, max-age=${HOUR_SECONDS}`).send(body),
    );
  };
}
