import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { type Static, Type } from '@sinclair/typebox';
import type { Clock } from '#kernel/core/clock.ts';
import type { ErrorCode } from '#kernel/core/errors.ts';
import type { IdSource } from '#kernel/core/ids.ts';
import { parseAmount } from '#kernel/core/money.ts';
import { text } from '#kernel/core/schemas.ts';
import { answerResult, sendAnswer } from '#kernel/http/answer.ts';
import { answerKeysOf, type KeyedRequest } from '#kernel/http/idempotency.ts';
import { idParams, uuidParam } from '#kernel/http/input.ts';
import { AMOUNT_CODES, amountInput, amountProblem, problemsOf, refuseProblems } from '#kernel/http/money-input.ts';
import { pageSchema, readOperation, writeOperation } from '#kernel/http/operation.ts';
import { InvalidInputError } from '#kernel/http/validation.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import type { Executor } from '#kernel/processor/execute.ts';
import { PAYMENT } from './contract.ts';
import type { PaymentState } from './decider.ts';
import { listRefunds } from './queries.ts';
import type { RequestRefund } from './refund.decider.ts';
import { loadPayment, refundSchema, refundViews, requestedRefund } from './views.ts';

export interface RefundRoutePorts {
  readonly executor: Executor;
  readonly sql: Sql;
  readonly clock: Clock;
  readonly ids: IdSource;
  /** How long an Idempotency-Key is kept, milliseconds. */
  readonly idempotencyTtlMs: number;
}

const fields = {
  amount: Type.Optional(amountInput('what to give back; all that is left when absent')),
  reason: text('why', 1000),
};
const refundBody = Type.Object(fields, { additionalProperties: false, examples: [{ amount: 10, reason: 'damaged' }] });
const walletRefundBody = Type.Object(
  { payment_id: Type.String(), ...fields },
  {
    additionalProperties: false,
    examples: [{ payment_id: '019ad8f2-5f0b-7c11-9c5e-5a8f0f3b2d10', reason: 'goodwill' }],
  },
);
type RefundBody = Static<typeof refundBody>;

const refusals = [
  'invalid_id',
  'payment_not_found',
  'payment_not_refundable',
  'refund_exceeds_payment',
  ...AMOUNT_CODES,
] as const satisfies readonly ErrorCode[];

const operations = {
  refund: writeOperation({
    tag: 'payments',
    summary: 'Give back part or all of a payment',
    params: idParams,
    body: refundBody,
    answers: { 201: refundSchema },
    refusals,
  }),
  list: readOperation({
    tag: 'payments',
    summary: 'The refunds of a payment',
    params: idParams,
    answers: { 200: pageSchema(refundSchema) },
    refusals: ['invalid_id', 'payment_not_found'],
  }),
  refundByHand: writeOperation({
    tag: 'wallets',
    summary: 'Give back part or all of a payment, by hand',
    description: 'To the wallet or the card that it was taken from, as any refund.',
    body: walletRefundBody,
    answers: { 201: refundSchema },
    refusals,
  }),
};

type RefundRequest = KeyedRequest & { readonly id: string; readonly validationError?: unknown };

/** `/payments/:id/refunds`, and `/wallets/refund`, which is a refund of a payment too. */
export function refundRoutes(ports: RefundRoutePorts): FastifyPluginAsyncTypebox {
  const { executor, sql, clock, ids } = ports;

  const refund = async (id: string, body: RefundBody, request: RefundRequest) => {
    refuseProblems(problemsOf(request.validationError), body);
    const paymentId = uuidParam(id);
    const keys = answerKeysOf(request, clock.now() + ports.idempotencyTtlMs);
    const amountMinor = await readAmount(executor, paymentId, body);
    const refundId = ids.uuid();
    const { reason } = body;
    const command: RequestRefund = {
      type: 'RequestRefund',
      refundId,
      reason,
      ...(amountMinor !== undefined && { amountMinor }),
    };
    return executor.execute({
      commands: [{ aggregate: PAYMENT, id: paymentId, command }],
      keys,
      traceId: request.id,
      answer: ([result]) =>
        answerResult<PaymentState, unknown>(result, request.id, 201, ({ state }) =>
          requestedRefund(state.payment, refundId),
        ),
    });
  };

  return async (app) => {
    app.post('/payments/:id/refunds', { schema: operations.refund, attachValidation: true }, async (request, reply) =>
      sendAnswer(reply, await refund(request.params.id, request.body, request)),
    );

    app.post('/wallets/refund', { schema: operations.refundByHand, attachValidation: true }, async (request, reply) =>
      sendAnswer(reply, await refund(request.body?.payment_id, request.body, request)),
    );

    app.get('/payments/:id/refunds', { schema: operations.list }, async (request) => {
      const id = uuidParam(request.params.id);
      const { payment } = await loadPayment(executor, id);
      return { data: [...refundViews(payment, await listRefunds(sql, id))], next_cursor: null };
    });
  };
}

/** The amount in minor units, by the payment's currency; undefined: all that is left. */
async function readAmount(executor: Executor, paymentId: string, { amount }: RefundBody): Promise<number | undefined> {
  if (amount === undefined) return undefined;
  const { payment } = await loadPayment(executor, paymentId);
  const parsed = parseAmount(amount, payment.currency);
  if (!parsed.ok) throw new InvalidInputError([amountProblem(parsed.refusal)]);
  return parsed.value;
}
