import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Kind, type Static, type TSchema, Type, TypeRegistry } from '@sinclair/typebox';
import type { Clock } from '#kernel/core/clock.ts';
import { type IdSource, isUuid } from '#kernel/core/ids.ts';
import { oneOf, text } from '#kernel/core/schemas.ts';
import type { Store } from '#kernel/event-store/store.ts';
import { type Answer, answerResult, sendAnswer } from '#kernel/http/answer.ts';
import { answerKeysOf } from '#kernel/http/idempotency.ts';
import { cursorOf, endOf, idParams, limitOf, momentInput, momentOf, pageQuery, uuidParam } from '#kernel/http/input.ts';
import { AMOUNT_CODES, amountInput, currencyInput, problemsOf, readMoney } from '#kernel/http/money-input.ts';
import { pageSchema, readOperation, writeOperation } from '#kernel/http/operation.ts';
import { waitSeconds } from '#kernel/http/prefer.ts';
import { problemOf, problemSchema } from '#kernel/http/problem.ts';
import { TOKEN_CODES, tokenInput, withTokenProblem } from '#kernel/http/token-input.ts';
import { createCheck, type FieldProblem, InvalidInputError } from '#kernel/http/validation.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import type { AnswerKey, CommandResult, Executor, StreamCommand } from '#kernel/processor/execute.ts';
import { PAYMENT, PAYMENT_METHODS, PAYMENT_STATUSES, type PaymentStatus } from './contract.ts';
import type { PaymentState } from './decider.ts';
import type { CreatePayment } from './payment.decider.ts';
import { findPayment, listPayments } from './queries.ts';
import {
  factsOf,
  loadPayment,
  type PaymentNotes,
  type PaymentView,
  paymentSchema,
  paymentView,
  paymentWithSaga,
} from './views.ts';

/** How a payment ended. */
export interface Completion {
  readonly status: PaymentStatus;
  readonly reason: string;
  /** RFC 3339. */
  readonly completed_at: string;
}

interface CompletionWaiter {
  /** Resolves when the payment is completed, or with undefined after so long (milliseconds). */
  wait(paymentId: string, ms: number): Promise<Completion | undefined>;
}

export interface PaymentRoutePorts {
  readonly executor: Executor;
  readonly store: Pick<Store, 'readStream'>;
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

const MAX_BATCH = 1000;
const MAX_METADATA = 50;

const createBody = Type.Object(
  {
    amount: amountInput('what to take'),
    currency: currencyInput(),
    method: oneOf(PAYMENT_METHODS),
    customer_id: text('who pays; for `wallet` the user of the wallet'),
    payment_token: tokenInput(),
    description: Type.Optional(Type.String({ maxLength: 1000 })),
    metadata: Type.Optional(
      Type.Record(Type.String({ maxLength: 64 }), Type.String({ maxLength: 500 }), { maxProperties: MAX_METADATA }),
    ),
  },
  {
    additionalProperties: false,
    examples: [{ amount: 100.5, currency: 'USD', method: 'credit_card', customer_id: 'customer-123' }],
  },
);
type CreateBody = Static<typeof createBody>;

const BATCH_ITEM = 'PaymentOfBatch';
// Each is checked when it is read: what is wrong with one is its own answer, not that of the batch.
TypeRegistry.Set<TSchema>(BATCH_ITEM, () => true);

const batchItem = Type.Unsafe<unknown>({ ...createBody, [Kind]: BATCH_ITEM });
const batchBody = Type.Object(
  { payments: Type.Array(batchItem, { minItems: 1, maxItems: MAX_BATCH }) },
  { additionalProperties: false, examples: [{ payments: createBody.examples }] },
);
const batchAnswer = Type.Object({
  data: Type.Array(
    Type.Object({
      status: Type.Integer({ description: 'as if it had been sent alone' }),
      payment: Type.Optional(paymentSchema),
      error: Type.Optional(problemSchema),
    }),
    { description: 'in the order of the request' },
  ),
});

const listQuery = Type.Object(
  {
    customer_id: Type.Optional(Type.String()),
    status: Type.Optional(oneOf(PAYMENT_STATUSES)),
    method: Type.Optional(oneOf(PAYMENT_METHODS)),
    from: Type.Optional(momentInput('created at or after')),
    to: Type.Optional(momentInput('created before; a date alone: until its end')),
    ...pageQuery,
  },
  { additionalProperties: false },
);

const tag = 'payments';
const operations = {
  create: writeOperation({
    tag,
    summary: 'Take a payment',
    description: '`Prefer: wait=N` waits up to N seconds for the final status; else the answer is `PENDING`.',
    body: createBody,
    answers: { 201: paymentSchema },
    refusals: [...AMOUNT_CODES, ...TOKEN_CODES],
  }),
  batch: writeOperation({
    tag,
    summary: `Take up to ${MAX_BATCH} payments, each with its own result`,
    body: batchBody,
    answers: { 200: batchAnswer },
  }),
  show: readOperation({
    tag,
    summary: 'One payment, as it is now',
    params: idParams,
    answers: { 200: paymentSchema },
    refusals: ['invalid_id', 'payment_not_found'],
  }),
  list: readOperation({
    tag,
    summary: 'Payments, newest first',
    querystring: listQuery,
    answers: { 200: pageSchema(paymentSchema) },
    refusals: ['invalid_cursor'],
  }),
};

const checkPayment = createCheck(createBody);

/** `/payments…`, but for refunds. */
export function paymentRoutes(ports: PaymentRoutePorts): FastifyPluginAsyncTypebox {
  const { executor, store, sql, clock, ids } = ports;
  const keysOf = (request: Parameters<typeof answerKeysOf>[0]): readonly AnswerKey[] =>
    answerKeysOf(request, clock.now() + ports.idempotencyTtlMs);

  const notesOf = async (id: string): Promise<PaymentNotes> => {
    const [created] = await store.readStream({ type: PAYMENT, id }, { limit: 1 });
    return { description: created?.data.description ?? null, metadata: created?.data.metadata ?? null };
  };

  return async (app) => {
    app.post('/payments', { schema: operations.create, attachValidation: true }, async (request, reply) => {
      const payment = readPayment(request.body, problemsOf(request.validationError), ports.tokenRequired);
      const command = {
        type: 'CreatePayment',
        paymentId: ids.uuid(),
        traceId: request.id,
        ...payment,
      } satisfies CreatePayment;
      const executed = await executor.execute({
        commands: [creation(command)],
        keys: keysOf(request),
        traceId: request.id,
        answer: ([result]) => createdAnswer(result, command),
      });
      const wait = waitSeconds(request.headers.prefer, ports.maxWaitSeconds);
      if (wait === 0 || executed.answer.status !== 201) return sendAnswer(reply, executed);
      reply.header('preference-applied', `wait=${wait}`);
      const body = executed.answer.body as PaymentView;
      const completion = await ports.completion.wait(body.id, wait * 1000);
      const { status, reason, completed_at } = completion ?? body;
      return sendAnswer(reply, {
        ...executed,
        answer: { status: 201, body: { ...body, status, reason, completed_at } },
      });
    });

    app.post('/payments/batch', { schema: operations.batch }, async (request, reply) => {
      const inputs = request.body.payments.map((item) => readBatchItem(item, ports.tokenRequired, request.id));
      const commands = inputs.map((input): CreatePayment | Answer<never> =>
        'status' in input ? input : { type: 'CreatePayment', paymentId: ids.uuid(), traceId: request.id, ...input },
      );
      const accepted = commands.filter((command) => 'paymentId' in command);
      const answer = (results: readonly CommandResult[]): Answer => batchResult(commands, results);
      if (accepted.length === 0) return sendAnswer(reply, { answer: answer([]), replayed: false });
      return sendAnswer(
        reply,
        await executor.execute({
          commands: accepted.map(creation),
          keys: keysOf(request),
          traceId: request.id,
          answer,
        }),
      );
    });

    app.get('/payments/:id', { schema: operations.show }, async (request) => {
      const id = uuidParam(request.params.id);
      const row = await findPayment(sql, id);
      if (row !== undefined && row.status !== 'PENDING') return paymentWithSaga(row);
      const state = await loadPayment(executor, id);
      return paymentWithSaga(factsOf(state, row ?? (await notesOf(id))));
    });

    app.get('/payments', { schema: operations.list }, async ({ query }) => {
      const page = await listPayments(sql, {
        ...(query.customer_id !== undefined && { customerId: query.customer_id }),
        ...(query.status !== undefined && { status: query.status }),
        ...(query.method !== undefined && { method: query.method }),
        ...(query.from !== undefined && { from: momentOf(query.from, 'from') }),
        ...(query.to !== undefined && { to: endOf(query.to, 'to') }),
        ...(query.cursor !== undefined && { cursor: cursorOf(query.cursor, isUuid) }),
        limit: limitOf(query),
      });
      return { data: page.data.map(paymentWithSaga), next_cursor: page.nextCursor };
    });
  };
}

/** What a client asks for, checked. */
type PaymentInput = Omit<CreatePayment, 'type' | 'paymentId' | 'traceId'>;

/**
 * Reads a payment of a request.
 * @param found what is wrong with it by its schema
 * @throws InvalidInputError with everything that is wrong
 */
function readPayment(body: CreateBody, found: readonly FieldProblem[], tokenRequired: boolean): PaymentInput {
  const amountMinor = readMoney(body, withTokenProblem(body, found, tokenRequired));
  const { currency, method, customer_id: customerId, payment_token: paymentToken, description, metadata } = body;
  return {
    amountMinor,
    currency,
    method,
    customerId,
    ...(paymentToken !== undefined && { paymentToken }),
    ...(description !== undefined && { description }),
    ...(metadata !== undefined && { metadata }),
  };
}

/** A payment of a batch; what is wrong with it is its own answer. */
function readBatchItem(item: unknown, tokenRequired: boolean, traceId: string): PaymentInput | Answer<never> {
  try {
    return readPayment(item as CreateBody, checkPayment(item), tokenRequired);
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    const problem = problemOf(error.code, error.message, traceId, error.problems);
    return { status: problem.status, body: problem };
  }
}

function creation(command: CreatePayment): StreamCommand {
  return { aggregate: PAYMENT, id: command.paymentId, command, fresh: true };
}

function createdAnswer(result: CommandResult<PaymentState> | undefined, command: CreatePayment): Answer<PaymentView> {
  const notes = { description: command.description ?? null, metadata: command.metadata ?? null };
  return answerResult(result, command.traceId, 201, ({ state }) => paymentView(factsOf(state, notes)));
}

/** One result per payment of the request; `results` are those of the payments that were executed, in their order. */
function batchResult(commands: readonly (CreatePayment | Answer<never>)[], results: readonly CommandResult[]): Answer {
  let next = 0;
  const data = commands.map((command) => {
    const { status, body } = 'paymentId' in command ? createdAnswer(results[next++], command) : command;
    return status === 201 ? { status, payment: body } : { status, error: body };
  });
  return { status: 200, body: { data } };
}
