import { hash } from 'node:crypto';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { type Static, Type } from '@sinclair/typebox';
import { canonicalJson } from '#kernel/core/canonical-json.ts';
import type { Clock } from '#kernel/core/clock.ts';
import { type IdSource, isUuid } from '#kernel/core/ids.ts';
import { oneOf, text } from '#kernel/core/schemas.ts';
import { type Answer, answerResult, sendAnswer } from '#kernel/http/answer.ts';
import { answerKeysOf, NEVER } from '#kernel/http/idempotency.ts';
import { cursorOf, idParams, limitOf, pageQuery, uuidParam } from '#kernel/http/input.ts';
import { AMOUNT_CODES, amountInput, problemsOf } from '#kernel/http/money-input.ts';
import { pageSchema, readOperation, writeOperation } from '#kernel/http/operation.ts';
import { waitSeconds } from '#kernel/http/prefer.ts';
import { TOKEN_CODES, tokenInput, withTokenProblem } from '#kernel/http/token-input.ts';
import { InvalidInputError } from '#kernel/http/validation.ts';
import { createLookup } from '#kernel/postgres/lookup.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import type { AnswerKey, CommandResult, Executor } from '#kernel/processor/execute.ts';
import { productIdFrom } from '#services/catalog/contract.ts';
import { MAX_UNITS } from '#services/inventory/contract.ts';
import { PAYMENT_METHODS } from '#services/payments/contract.ts';
import { MAX_LINES, PURCHASE, PURCHASE_STATUSES, type PurchaseStatus } from './contract.ts';
import type { CancelPurchase, CreatePurchase } from './decider.ts';
import { type LineInput, priceLines } from './pricing.ts';
import { purchaseOf } from './projections.ts';
import { findOffers, findPurchase, listPurchases } from './queries.ts';
import type { Purchase } from './saga.ts';
import { loadPurchase, type PurchaseView, purchaseSchema, purchaseView } from './views.ts';

interface CompletionWaiter {
  /** Resolves when the purchase is completed or cancelled, or with undefined after so long (milliseconds). */
  wait(purchaseId: string, ms: number): Promise<PurchaseStatus | undefined>;
}

export interface PurchaseRoutePorts {
  readonly executor: Executor;
  readonly sql: Sql;
  readonly completion: CompletionWaiter;
  readonly clock: Clock;
  readonly ids: IdSource;
  /** How long an Idempotency-Key is kept, milliseconds. */
  readonly idempotencyTtlMs: number;
  /** The longest `Prefer: wait`, seconds. */
  readonly maxWaitSeconds: number;
  /** True when a card payment needs a token. */
  readonly tokenRequired: boolean;
}

const product = {
  product_id: Type.String({ minLength: 1, maxLength: 255, description: "the product's id or its SKU" }),
  quantity: Type.Integer({ minimum: 1, maximum: MAX_UNITS, description: 'units' }),
};
const lineInput = Type.Object(
  { ...product, unit_price: Type.Optional(amountInput('the price that you expect; refused when it is another')) },
  { additionalProperties: false },
);

const createBody = Type.Object(
  {
    customer_id: text('who buys; for `wallet` the user of the wallet'),
    method: oneOf(PAYMENT_METHODS),
    lines: Type.Array(lineInput, { minItems: 1, maxItems: MAX_LINES, description: 'each of another product' }),
    payment_token: tokenInput(),
    reference: Type.Optional(
      text('your own name of this purchase: the same one of the customer again gets the first answer'),
    ),
  },
  {
    additionalProperties: false,
    examples: [{ customer_id: 'customer-123', method: 'wallet', lines: [{ product_id: 'CUP-1', quantity: 2 }] }],
  },
);

const cancelBody = Type.Object(
  {
    reason: text('why'),
    reference: Type.Optional(
      text('your own name of this return: the same one of the purchase again gets the first answer'),
    ),
    lines: Type.Optional(
      Type.Array(Type.Object(product, { additionalProperties: false }), {
        minItems: 1,
        maxItems: MAX_LINES,
        description: 'what comes back of a completed purchase; all that is left when absent',
      }),
    ),
  },
  { additionalProperties: false, examples: [{ reason: 'changed my mind' }] },
);

const listQuery = Type.Object(
  {
    customer_id: Type.Optional(Type.String()),
    reference: Type.Optional(Type.String()),
    status: Type.Optional(oneOf(PURCHASE_STATUSES)),
    stuck: Type.Optional(Type.Boolean({ description: 'true: only those of which something takes too long' })),
    ...pageQuery,
  },
  { additionalProperties: false },
);

const tag = 'purchases';
const operations = {
  create: writeOperation({
    tag,
    summary: 'Buy products',
    description:
      'Units are reserved, then paid, then they leave the house. `Prefer: wait=N` waits up to N seconds for the end; else the answer is `PENDING`.',
    body: createBody,
    answers: { 201: purchaseSchema },
    refusals: [
      'product_unknown',
      'product_not_for_sale',
      'product_repeated',
      'reference_reused',
      'price_changed',
      'currencies_mixed',
      ...AMOUNT_CODES,
      ...TOKEN_CODES,
    ],
  }),
  show: readOperation({
    tag,
    summary: 'One purchase, as it is now',
    params: idParams,
    answers: { 200: purchaseSchema },
    refusals: ['invalid_id', 'purchase_not_found'],
  }),
  list: readOperation({
    tag,
    summary: 'Purchases, newest first',
    querystring: listQuery,
    answers: { 200: pageSchema(purchaseSchema) },
    refusals: ['invalid_cursor'],
  }),
  cancel: writeOperation({
    tag,
    summary: 'Cancel a purchase, or give back some of it',
    description:
      'One that is not paid yet just ends. Of a completed one the units come back into stock and the money is refunded: all of it, or of the lines that are given.',
    params: idParams,
    body: cancelBody,
    answers: { 200: purchaseSchema },
    refusals: [
      'invalid_id',
      'purchase_not_found',
      'purchase_not_cancellable',
      'return_exceeds_purchase',
      'product_repeated',
      'reference_reused',
    ],
  }),
};

/** `/purchases…`. */
export function purchaseRoutes(ports: PurchaseRoutePorts): FastifyPluginAsyncTypebox {
  const { executor, sql, clock, ids } = ports;
  const keysOf = (request: Parameters<typeof answerKeysOf>[0]): readonly AnswerKey[] =>
    answerKeysOf(request, clock.now() + ports.idempotencyTtlMs);
  const offersOf = createLookup(
    (productIds) => findOffers(sql, productIds),
    (offer) => offer.product_id,
  );

  /** What is to be done for an order. One that cannot be sold now may be the repetition of one that could. */
  const requestFor = async (order: Order, keys: readonly AnswerKey[], traceId: string) => {
    const priced = await priceLines(order.lines, offersOf).catch(invalidInput);
    if (priced instanceof InvalidInputError) return { commands: [], keys, traceId, answer: () => fail(priced) };
    const purchaseId = ids.uuid();
    const command: CreatePurchase = { type: 'CreatePurchase', purchaseId, traceId, ...order, ...priced };
    return {
      commands: [{ aggregate: PURCHASE, id: purchaseId, command, fresh: true }],
      keys,
      traceId,
      answer: ([result]: readonly CommandResult[]) =>
        answerResult<Purchase, PurchaseView>(result, traceId, 201, ({ state }) => purchaseView(state)),
    };
  };

  return async (app) => {
    app.post('/purchases', { schema: operations.create, attachValidation: true }, async (request, reply) => {
      const order = readOrder(request.body, request.validationError, ports.tokenRequired);
      const keys = [...keysOf(request), ...orderKeys(order)];
      const executed = await executor.execute<Answer<PurchaseView>>(await requestFor(order, keys, request.id));
      const wait = waitSeconds(request.headers.prefer, ports.maxWaitSeconds);
      if (wait === 0 || executed.answer.status !== 201) return sendAnswer(reply, executed);
      reply.header('preference-applied', `wait=${wait}`);
      const { id } = executed.answer.body as PurchaseView;
      await ports.completion.wait(id, wait * 1000);
      const body = purchaseView(await loadPurchase(executor, id));
      return sendAnswer(reply, { ...executed, answer: { status: 201, body } });
    });

    app.get('/purchases/:id', { schema: operations.show }, async (request) => {
      const id = uuidParam(request.params.id);
      const row = await findPurchase(sql, id);
      // A completed one may have been cancelled a moment ago, which its row does not say yet.
      const isAtRest = row?.status === 'CANCELLED' && row.deadline_at === null && row.stuck_reason === null;
      return purchaseView(isAtRest ? purchaseOf(row) : await loadPurchase(executor, id));
    });

    app.get('/purchases', { schema: operations.list }, async ({ query }) => {
      const page = await listPurchases(sql, {
        ...(query.customer_id !== undefined && { customerId: query.customer_id }),
        ...(query.reference !== undefined && { reference: query.reference }),
        ...(query.status !== undefined && { status: query.status }),
        ...(query.stuck !== undefined && { stuck: query.stuck }),
        ...(query.cursor !== undefined && { cursor: cursorOf(query.cursor, isUuid) }),
        now: clock.now(),
        limit: limitOf(query),
      });
      return { data: page.data.map((row) => purchaseView(purchaseOf(row))), next_cursor: page.nextCursor };
    });

    app.post('/purchases/:id/cancel', { schema: operations.cancel }, async (request, reply) => {
      const id = uuidParam(request.params.id);
      const command = readCancellation(request.body);
      const executed = await executor.execute({
        commands: [{ aggregate: PURCHASE, id, command }],
        keys: [...keysOf(request), ...returnKeys(id, request.body)],
        traceId: request.id,
        answer: ([result]) =>
          answerResult<Purchase, unknown>(result, request.id, 200, ({ state }) => purchaseView(state)),
      });
      return sendAnswer(reply, executed);
    });
  };
}

/** What is wrong with the input, as a value. */
function invalidInput(cause: unknown): InvalidInputError {
  if (cause instanceof InvalidInputError) return cause;
  throw cause;
}

function fail(error: Error): never {
  throw error;
}

type Order = Pick<CreatePurchase, 'customerId' | 'method' | 'paymentToken' | 'reference'> & {
  readonly lines: readonly LineInput[];
};

/** @throws InvalidInputError with everything that is wrong, but for what only the catalog knows */
function readOrder(body: Static<typeof createBody>, validationError: unknown, tokenRequired: boolean): Order {
  const found = withTokenProblem(body, problemsOf(validationError), tokenRequired);
  if (found.length > 0) throw new InvalidInputError(found);
  const { customer_id: customerId, method, payment_token: paymentToken, reference } = body;
  const lines = body.lines.map((line) => ({
    productId: productIdFrom(line.product_id),
    asked: line.product_id,
    quantity: line.quantity,
    ...(line.unit_price !== undefined && { expectedPrice: line.unit_price }),
  }));
  refuseRepeated(lines);
  return {
    customerId,
    method,
    ...(paymentToken !== undefined && { paymentToken }),
    ...(reference !== undefined && { reference }),
    lines,
  };
}

/** A purchase is made once for each reference of its customer. */
function orderKeys({ customerId, reference, method, lines }: Order): readonly AnswerKey[] {
  return referenceKeys(`purchase:${customerId}`, reference, { method, lines });
}

/** Units come back once for each reference of their purchase. */
function returnKeys(id: string, { reference, lines = [] }: Static<typeof cancelBody>): readonly AnswerKey[] {
  return referenceKeys(`return:${id}`, reference, { lines });
}

function referenceKeys(scope: string, reference: string | undefined, request: object): readonly AnswerKey[] {
  if (reference === undefined) return [];
  return [{ scope, key: reference, requestHash: hash('sha256', canonicalJson(request), 'hex'), expiresAt: NEVER }];
}

/** @throws InvalidInputError when a product is named twice */
function readCancellation({ reason, lines }: Static<typeof cancelBody>): CancelPurchase {
  if (lines === undefined) return { type: 'CancelPurchase', reason };
  const units = lines.map(({ product_id, quantity }) => ({ productId: productIdFrom(product_id), quantity }));
  refuseRepeated(units);
  return { type: 'CancelPurchase', reason, units };
}

function refuseRepeated(lines: readonly { readonly productId: string }[]): void {
  const first = new Map<string, number>();
  const problems = lines.flatMap(({ productId }, i) => {
    const before = first.get(productId);
    if (before === undefined) {
      first.set(productId, i);
      return [];
    }
    const message = `lines.${i} is of the same product as lines.${before}: give one line for each product`;
    return [{ field: `lines.${i}.product_id`, code: 'product_repeated', message }];
  });
  if (problems.length > 0) throw new InvalidInputError(problems);
}
