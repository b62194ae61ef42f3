import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from '@sinclair/typebox';
import { isUuid } from '#kernel/core/ids.ts';
import { oneOf } from '#kernel/core/schemas.ts';
import { answerResult, sendAnswer } from '#kernel/http/answer.ts';
import { answerKeysOf, type KeyedRequest } from '#kernel/http/idempotency.ts';
import { cursorOf, idParams, limitOf, pageQuery, uuidParam } from '#kernel/http/input.ts';
import { pageSchema, readOperation, writeOperation } from '#kernel/http/operation.ts';
import { PAYMENT, SAGA_STATES } from '#services/payments/contract.ts';
import type { PaymentCommand, PaymentState } from '#services/payments/decider.ts';
import { listSagas } from '#services/payments/queries.ts';
import { factsOf, sagaSchema, sagaView } from '#services/payments/views.ts';
import type { ApiContext, ServicePorts } from '../context.ts';
import { operatorCause, operatorOf } from '../operator.ts';

const listQuery = Type.Object(
  {
    state: Type.Optional(oneOf(SAGA_STATES)),
    stuck: Type.Optional(Type.Boolean({ description: 'only those past a deadline, or that try a step again' })),
    ...pageQuery,
  },
  { additionalProperties: false },
);

const tag = 'sagas';
const action = {
  tag,
  params: idParams,
  answers: { 200: sagaSchema },
  refusals: ['invalid_id', 'saga_not_found', 'saga_not_stuck'],
} as const;
const operations = {
  list: readOperation({
    tag,
    summary: 'The processes of payments, newest first',
    querystring: listQuery,
    answers: { 200: pageSchema(sagaSchema) },
    refusals: ['invalid_cursor'],
  }),
  retry: writeOperation({ ...action, summary: 'Try the present step again, now' }),
  compensate: writeOperation({ ...action, summary: 'Give an open saga up, and give back what it took' }),
};

/** `/sagas…`: what operators see of the processes of payments, and do about those that are stuck. */
export function sagaRoutes(
  { clock, settings, log }: ApiContext,
  { executor, sql }: ServicePorts,
): FastifyPluginAsyncTypebox {
  const tell = async (
    type: 'RetryStep' | 'Compensate',
    given: string,
    request: KeyedRequest & { readonly id: string },
  ) => {
    const id = uuidParam(given);
    const operator = operatorOf(request.headers);
    const command: PaymentCommand = { type };
    const executed = await executor.execute({
      commands: [{ aggregate: PAYMENT, id, command }],
      keys: answerKeysOf(request, clock.now() + settings.idempotencyTtlMs),
      traceId: request.id,
      causationId: operatorCause(operator),
      answer: ([result]) =>
        answerResult<PaymentState, unknown>(result, request.id, 200, ({ state }) =>
          sagaView(factsOf(state, NO_NOTES), clock.now()),
        ),
    });
    log.info(
      { trace_id: request.id, operator, payment_id: id, action: type, status: executed.answer.status },
      'an operator acts on a saga',
    );
    return executed;
  };

  return async (app) => {
    app.get('/sagas', { schema: operations.list }, async ({ query }) => {
      const cursor = cursorOf(query.cursor, isUuid);
      const now = clock.now();
      const page = await listSagas(sql, {
        ...(query.state !== undefined && { state: query.state }),
        ...(query.stuck !== undefined && { stuck: query.stuck }),
        ...(cursor !== undefined && { cursor }),
        now,
        limit: limitOf(query),
      });
      return { data: page.data.map((row) => sagaView(row, now)), next_cursor: page.nextCursor };
    });

    app.post('/sagas/:id/retry', { schema: operations.retry }, async (request, reply) =>
      sendAnswer(reply, await tell('RetryStep', request.params.id, request)),
    );
    app.post('/sagas/:id/compensate', { schema: operations.compensate }, async (request, reply) =>
      sendAnswer(reply, await tell('Compensate', request.params.id, request)),
    );
  };
}

const NO_NOTES = { description: null, metadata: null };
