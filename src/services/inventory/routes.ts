import { hash } from 'node:crypto';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { type Static, Type } from '@sinclair/typebox';
import type { RowSource } from '#kernel/cache/row-cache.ts';
import type { Clock } from '#kernel/core/clock.ts';
import { RequestError } from '#kernel/core/errors.ts';
import { isUuid } from '#kernel/core/ids.ts';
import { text } from '#kernel/core/schemas.ts';
import { answerResult, sendAnswer } from '#kernel/http/answer.ts';
import { answerKeysOf, NEVER } from '#kernel/http/idempotency.ts';
import { cursorOf, limitOf, pageQuery } from '#kernel/http/input.ts';
import { pageSchema, readOperation, writeOperation } from '#kernel/http/operation.ts';
import { InvalidInputError } from '#kernel/http/validation.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import type { AnswerKey, Executor } from '#kernel/processor/execute.ts';
import { productIdFrom } from '#services/catalog/contract.ts';
import { MAX_UNITS, STOCK } from './contract.ts';
import type { AdjustStock, StockState } from './decider.ts';
import { type StockRow, stockOf } from './projections.ts';
import { listAlerts } from './queries.ts';
import { alertSchema, alertView, stockSchema, stockView } from './views.ts';

export interface InventoryRoutePorts {
  readonly executor: Executor;
  readonly sql: Sql;
  readonly rows: RowSource<StockRow>;
  readonly clock: Clock;
  /** How long an Idempotency-Key is kept, milliseconds. */
  readonly idempotencyTtlMs: number;
}

const productParams = Type.Object({
  product_id: Type.String({ description: "the product's id or its SKU", maxLength: 255 }),
});

const adjustBody = Type.Object(
  {
    change: Type.Optional(
      Type.Integer({ minimum: -MAX_UNITS, maximum: MAX_UNITS, description: 'units that come in, or go out (< 0)' }),
    ),
    threshold: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: MAX_UNITS,
        description: 'with so few available units stock is low; 0: never',
      }),
    ),
    reason: text('such as `delivery`, `damaged` or `counted`'),
    reference: Type.Optional(text('your own name of this adjustment: the same one again gets the first answer')),
  },
  { additionalProperties: false, examples: [{ change: 100, reason: 'delivery', reference: 'delivery-1' }] },
);

const tag = 'inventory';

const operations = {
  show: readOperation({
    tag,
    summary: 'The stock of a product',
    params: productParams,
    answers: { 200: stockSchema },
    refusals: ['stock_not_found'],
  }),
  adjust: writeOperation({
    tag,
    summary: 'Put units into stock, take some out, or set the threshold of low stock',
    description: '`change`, `threshold`, or both.',
    params: productParams,
    body: adjustBody,
    answers: { 201: stockSchema },
    refusals: ['insufficient_stock', 'stock_too_large', 'reference_reused'],
  }),
  alerts: readOperation({
    tag,
    summary: 'Products that are low or out of stock, by id',
    querystring: Type.Object(pageQuery, { additionalProperties: false }),
    answers: { 200: pageSchema(alertSchema) },
    refusals: ['invalid_cursor'],
  }),
};

/** `/inventory…`. */
export function inventoryRoutes(ports: InventoryRoutePorts): FastifyPluginAsyncTypebox {
  const { executor, sql, rows, clock, idempotencyTtlMs } = ports;
  return async (app) => {
    app.get('/inventory/alerts', { schema: operations.alerts }, async ({ query }) => {
      const cursor = cursorOf(query.cursor, isUuid);
      const page = await listAlerts(sql, { limit: limitOf(query), ...(cursor !== undefined && { cursor }) });
      return { data: page.data.map((row) => alertView(row, stockOf(row))), next_cursor: page.nextCursor };
    });

    app.get('/inventory/:product_id', { schema: operations.show }, async ({ params }) => {
      const row = await rows.get(productIdFrom(params.product_id));
      if (row === undefined) throw new RequestError('stock_not_found', 'nothing is known of the stock of this product');
      return stockView(row.product_id, stockOf(row));
    });

    app.post('/inventory/:product_id/adjustments', { schema: operations.adjust }, async (request, reply) => {
      const productId = productIdFrom(request.params.product_id);
      const command = readAdjustment(productId, request.body, request.id);
      const executed = await executor.execute({
        commands: [{ aggregate: STOCK, id: productId, command }],
        keys: [...answerKeysOf(request, clock.now() + idempotencyTtlMs), ...referenceKeys(command)],
        traceId: request.id,
        answer: ([result]) =>
          answerResult<StockState, unknown>(result, request.id, 201, ({ state }) => stockView(productId, state)),
      });
      return sendAnswer(reply, executed);
    });
  };
}

/** @throws InvalidInputError when nothing is to change */
function readAdjustment(productId: string, body: Static<typeof adjustBody>, traceId: string): AdjustStock {
  const { change = 0, threshold, reason, reference } = body;
  if (change === 0 && threshold === undefined) {
    const message = 'change must be a number of units other than 0, unless threshold is given';
    throw new InvalidInputError([{ field: 'change', code: 'required', message }]);
  }
  return {
    type: 'AdjustStock',
    productId,
    change,
    ...(threshold !== undefined && { threshold }),
    reason,
    ...(reference !== undefined && { reference }),
    traceId,
  };
}

/** An adjustment is made once for each reference of its product. */
function referenceKeys({ productId, change, threshold, reference }: AdjustStock): readonly AnswerKey[] {
  if (reference === undefined) return [];
  const requestHash = hash('sha256', `${change} ${threshold}`, 'hex');
  return [{ scope: `stock:${productId}`, key: reference, requestHash, expiresAt: NEVER }];
}
