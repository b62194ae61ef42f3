import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { type Static, Type } from '@sinclair/typebox';
import type { RowSource } from '#kernel/cache/row-cache.ts';
import type { Clock } from '#kernel/core/clock.ts';
import { RequestError } from '#kernel/core/errors.ts';
import { parseAmount } from '#kernel/core/money.ts';
import { oneOf, text } from '#kernel/core/schemas.ts';
import { answerResult, sendAnswer } from '#kernel/http/answer.ts';
import { answerKeysOf, type KeyedRequest } from '#kernel/http/idempotency.ts';
import { cursorOf, limitOf, pageQuery } from '#kernel/http/input.ts';
import {
  AMOUNT_CODES,
  amountInput,
  amountProblem,
  currencyInput,
  problemsOf,
  withOthers,
} from '#kernel/http/money-input.ts';
import { pageSchema, readOperation, writeOperation } from '#kernel/http/operation.ts';
import { type FieldProblem, InvalidInputError } from '#kernel/http/validation.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import type { Executor } from '#kernel/processor/execute.ts';
import { LISTED_STATUSES, MAX_DESCRIPTION, MAX_SKU, PRODUCT, PRODUCT_STATUSES, productIdOf } from './contract.ts';
import type { ProductCommand, ProductDetails, ProductState } from './decider.ts';
import { type ProductRow, productOf } from './projections.ts';
import { findProduct, listProducts } from './queries.ts';
import { productSchema, productView } from './views.ts';

export interface ProductRoutePorts {
  readonly executor: Executor;
  readonly sql: Sql;
  readonly rows: RowSource<ProductRow>;
  readonly clock: Clock;
  /** How long an Idempotency-Key is kept, milliseconds. */
  readonly idempotencyTtlMs: number;
}

const productParams = Type.Object({ id: Type.String({ description: "the product's id or its SKU", maxLength: 255 }) });

/** Printable, on one line, without spaces at its ends: it is a name to type and to print. */
const SKU = /^[^\s\p{C}]([^\p{C}\p{Zl}\p{Zp}]*[^\s\p{C}])?$/u;

const details = {
  name: text('for people'),
  description: Type.Optional(text('for people', MAX_DESCRIPTION)),
  price: amountInput('of one unit'),
  currency: currencyInput(),
  status: Type.Optional(oneOf(LISTED_STATUSES, 'ACTIVE when absent; INACTIVE: shown and not sold')),
};
const example = { name: 'Tea cup', price: 4.25, currency: 'GBP' };

const createBody = Type.Object(
  {
    sku: Type.String({ minLength: 1, maxLength: MAX_SKU, description: 'stock keeping unit; it never changes' }),
    ...details,
  },
  { additionalProperties: false, examples: [{ sku: 'CUP-1', ...example }] },
);
const updateBody = Type.Object(details, { additionalProperties: false, examples: [example] });

const listQuery = Type.Object(
  {
    q: Type.Optional(
      Type.String({ maxLength: 255, description: 'words, or beginnings of words, of SKU, name and description' }),
    ),
    status: Type.Optional(oneOf(PRODUCT_STATUSES, 'all but the deleted ones when absent')),
    ...pageQuery,
  },
  { additionalProperties: false },
);

const tag = 'catalog';
const one = { tag, params: productParams, answers: { 200: productSchema } } as const;

const operations = {
  create: writeOperation({
    tag,
    summary: 'Put a product into the catalog',
    body: createBody,
    answers: { 201: productSchema },
    refusals: ['product_already_exists', ...AMOUNT_CODES],
  }),
  show: readOperation({ ...one, summary: 'One product', refusals: ['product_not_found'] }),
  update: writeOperation({
    ...one,
    summary: 'Change a product: what is given is all of it',
    body: updateBody,
    refusals: ['product_not_found', ...AMOUNT_CODES],
  }),
  remove: writeOperation({
    ...one,
    summary: 'Take a product out of the catalog',
    description: 'What was sold of it stays. The same SKU can be put into the catalog again.',
    refusals: ['product_not_found'],
  }),
  list: readOperation({
    tag,
    summary: 'Products, by SKU',
    querystring: listQuery,
    answers: { 200: pageSchema(productSchema) },
    refusals: ['invalid_cursor'],
  }),
};

/** `/products…`. */
export function productRoutes({
  executor,
  sql,
  rows,
  clock,
  idempotencyTtlMs,
}: ProductRoutePorts): FastifyPluginAsyncTypebox {
  const execute = (
    request: KeyedRequest & { readonly id: string },
    productId: string,
    command: ProductCommand,
    status: number,
  ) =>
    executor.execute({
      commands: [{ aggregate: PRODUCT, id: productId, command }],
      keys: answerKeysOf(request, clock.now() + idempotencyTtlMs),
      traceId: request.id,
      answer: ([result]) =>
        answerResult<ProductState, unknown>(result, request.id, status, ({ state }) => productView(state)),
    });

  /**
   * Also of one that was deleted: who repeats the request that did it gets the same answer again.
   * @throws RequestError `product_not_found`
   */
  const idOf = async (idOrSku: string): Promise<string> => {
    const row = await findProduct(rows, idOrSku);
    if (row === undefined) throw notFound();
    return row.product_id;
  };

  return async (app) => {
    app.post('/products', { schema: operations.create, attachValidation: true }, async (request, reply) => {
      const { sku } = request.body ?? {};
      const found = withOthers(problemsOf(request.validationError), skuProblems(sku));
      const product = readDetails(request.body, found);
      const productId = productIdOf(sku);
      const command: ProductCommand = { type: 'CreateProduct', productId, sku, ...product, traceId: request.id };
      return sendAnswer(reply, await execute(request, productId, command, 201));
    });

    app.get('/products/:id', { schema: operations.show }, async ({ params }) => {
      const row = await findProduct(rows, params.id);
      if (row === undefined || row.status === 'DELETED') throw notFound();
      return productView(productOf(row));
    });

    app.put('/products/:id', { schema: operations.update, attachValidation: true }, async (request, reply) => {
      const product = readDetails(request.body, problemsOf(request.validationError));
      const id = await idOf(request.params.id);
      const command: ProductCommand = { type: 'UpdateProduct', ...product, traceId: request.id };
      return sendAnswer(reply, await execute(request, id, command, 200));
    });

    app.delete('/products/:id', { schema: operations.remove }, async (request, reply) => {
      const id = await idOf(request.params.id);
      return sendAnswer(reply, await execute(request, id, { type: 'DeleteProduct', traceId: request.id }, 200));
    });

    app.get('/products', { schema: operations.list }, async ({ query }) => {
      const page = await listProducts(sql, {
        ...(query.q !== undefined && { q: query.q }),
        ...(query.status !== undefined && { status: query.status }),
        ...(query.cursor !== undefined && { cursor: cursorOf(query.cursor, isSku) }),
        limit: limitOf(query),
      });
      return { data: page.data.map((row) => productView(productOf(row))), next_cursor: page.nextCursor };
    });
  };
}

function notFound(): RequestError {
  return new RequestError('product_not_found', 'there is no such product');
}

function isSku(value: string): boolean {
  return value.length <= MAX_SKU && SKU.test(value);
}

/** What the schema says of it is said first. */
function skuProblems(sku: unknown): readonly FieldProblem[] {
  if (typeof sku !== 'string' || isSku(sku)) return [];
  const message = `sku must be 1 to ${MAX_SKU} printable characters, and neither begin nor end with a space`;
  return [{ field: 'sku', code: 'wrong_format', message }];
}

/** @throws InvalidInputError with everything that is wrong */
function readDetails(body: Static<typeof updateBody>, found: readonly FieldProblem[]): ProductDetails {
  const { name, description = null, price, currency, status = 'ACTIVE' } = body ?? {};
  const parsed = parseAmount(price, currency);
  if (!parsed.ok) throw new InvalidInputError(withOthers(found, [priceProblem(amountProblem(parsed.refusal))]));
  if (found.length > 0) throw new InvalidInputError(found);
  return { name, description, priceMinor: parsed.value, currency, status };
}

function priceProblem(problem: FieldProblem): FieldProblem {
  if (problem.field !== 'amount') return problem;
  return { ...problem, field: 'price', message: problem.message.replace(/^amount/, 'price') };
}
