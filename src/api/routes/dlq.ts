import { setTimeout as pause } from 'node:timers/promises';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { type Static, Type } from '@sinclair/typebox';
import { DEAD_LETTER_STATUSES, type DeadLetter, type DeadLetterFilter } from '#kernel/bus/postgres/error-log.ts';
import { oneOf } from '#kernel/core/schemas.ts';
import { timestampOrNull, toTimestamp } from '#kernel/core/timestamp.ts';
import { type Answer, answerRefusal, sendAnswer } from '#kernel/http/answer.ts';
import { cursorOf, idParams, limitOf, pageQuery, uuidParam } from '#kernel/http/input.ts';
import { nullableText, pageSchema, readOperation, writeOperation } from '#kernel/http/operation.ts';
import type { ApiContext } from '../context.ts';
import { createDeadLetters } from '../dead-letters.ts';
import { actOnce, operatorOf } from '../operator.ts';
import type { RateLimit } from '../rate-limit.ts';

const letterSchema = Type.Object({
  id: Type.String(),
  service: Type.String({ description: 'which could not handle the message' }),
  event_id: Type.String(),
  event_type: Type.String(),
  original_topic: Type.String(),
  dlq_topic: Type.String(),
  partition: Type.Integer(),
  key: Type.String(),
  attempts: Type.Integer(),
  error: Type.String(),
  fingerprint: Type.String({ description: 'the same for failures of one kind' }),
  count: Type.Integer({ description: 'how often it came to the operators' }),
  status: oneOf(DEAD_LETTER_STATUSES),
  first_seen: Type.String(),
  last_seen: Type.String(),
  retry_at: nullableText(),
  resolved_at: nullableText(),
  resolved_by: nullableText(),
  kafka: Type.Union(
    [Type.Object({ topic: Type.String(), partition: Type.Integer(), offset: Type.Integer() }), Type.Null()],
    {
      description: 'where it stands on its topic; null until it is there, and without Kafka',
    },
  ),
  event: Type.Optional(Type.Unknown({ description: 'the message, whole' })),
});
const groupSchema = Type.Object({
  fingerprint: Type.String(),
  service: Type.String(),
  event_type: Type.String(),
  error: Type.String({ description: 'of the message seen last' }),
  messages: Type.Integer(),
  open: Type.Integer(),
  first_seen: Type.String(),
  last_seen: Type.String(),
});

const filterFields = { fingerprint: Type.Optional(Type.String()), service: Type.Optional(Type.String()) };
const listQuery = Type.Object(
  {
    status: Type.Optional(oneOf(DEAD_LETTER_STATUSES)),
    ...filterFields,
    group: Type.Optional(oneOf(['fingerprint'], 'failures of one kind together')),
    ...pageQuery,
  },
  { additionalProperties: false },
);
const replayBody = Type.Object(filterFields, {
  additionalProperties: false,
  examples: [{ fingerprint: '4f6d1c1e6d0f4b3e' }],
});

const tag = 'dead letters';
const one = { tag, params: idParams, answers: { 200: letterSchema } } as const;
const operations = {
  list: readOperation({
    tag,
    summary: 'Messages that could not be handled, the last first, or groups of them',
    querystring: listQuery,
    answers: { 200: pageSchema(Type.Union([letterSchema, groupSchema])) },
    refusals: ['invalid_cursor'],
  }),
  show: readOperation({ ...one, summary: 'One dead letter, whole', refusals: ['invalid_id', 'dead_letter_not_found'] }),
  replay: writeOperation({
    ...one,
    summary: 'Hand a dead letter to its service again',
    refusals: ['invalid_id', 'dead_letter_not_found', 'dead_letter_settled'],
  }),
  discard: writeOperation({
    ...one,
    summary: 'Give a dead letter up',
    refusals: ['invalid_id', 'dead_letter_not_found', 'dead_letter_settled'],
  }),
  replayMany: writeOperation({
    tag,
    summary: 'Hand all open dead letters, or those of a kind, to their services again',
    description:
      'So many per second as the settings allow, the oldest first; `remaining` tells what another call is needed for.',
    body: replayBody,
    answers: { 200: Type.Object({ replayed: Type.Integer(), remaining: Type.Integer() }) },
  }),
};

const PAUSE_MS = 100;

/**
 * `/dlq…`: what operators see of messages that could not be handled, and do about them.
 * @param limit of replays
 */
export function dlqRoutes(context: ApiContext, limit: RateLimit): FastifyPluginAsyncTypebox {
  const { databases, clock, settings, log } = context;
  const deadLetters = createDeadLetters(databases);
  let stopping = false;

  const refresh = (services: readonly string[]): void => {
    for (const service of new Set(services)) context.refreshRetries(service);
  };

  /** The letter after something was done about it; it says no when nothing could be. */
  const outcome = async (id: string, done: boolean, traceId: string): Promise<Answer> => {
    const letter = await deadLetters.find(id);
    if (letter === undefined) return refusal('dead_letter_not_found', 'there is no such dead letter', traceId);
    if (!done) return refusal('dead_letter_settled', `the dead letter is ${letter.status}, not open`, traceId);
    return { status: 200, body: withEvent(letter) };
  };

  const replayAll = async (filter: DeadLetterFilter, operator: string): Promise<number> => {
    const until = clock.now() + settings.maxWaitSeconds * 1000;
    let replayed = 0;
    for (;;) {
      const permits = limit.take(settings.dlqReplaysPerSecond);
      const services = permits === 0 ? [] : await deadLetters.replay({ filter, limit: permits, operator });
      limit.giveBack(permits - services.length);
      refresh(services);
      replayed += services.length;
      const noneLeft = permits > 0 && services.length < permits;
      if (noneLeft || stopping || clock.now() >= until) return replayed;
      await pause(PAUSE_MS);
    }
  };

  return async (app) => {
    app.addHook('preClose', async () => {
      stopping = true;
    });

    app.get('/dlq', { schema: operations.list }, async ({ query }) => {
      const filter = { ...filterOf(query), ...(query.status !== undefined && { status: query.status }) };
      if (query.group !== undefined) {
        const groups = await deadLetters.groups(filter, limitOf(query));
        return {
          data: groups.map(({ consumer, ...group }) => ({ ...group, service: consumer, ...seen(group) })),
          next_cursor: null,
        };
      }
      const cursor = cursorOf(query.cursor, deadLetters.isCursor);
      const page = await deadLetters.list(filter, {
        limit: limitOf(query),
        ...(cursor !== undefined && { cursor }),
      });
      return { data: page.data.map(letterView), next_cursor: page.nextCursor };
    });

    app.get('/dlq/:id', { schema: operations.show }, async (request, reply) => {
      const answer = await outcome(uuidParam(request.params.id), true, request.id);
      return sendAnswer(reply, { answer, replayed: false });
    });

    app.post('/dlq/:id/replay', { schema: operations.replay }, async (request, reply) => {
      const [id, operator] = [uuidParam(request.params.id), operatorOf(request.headers)];
      const executed = await actOnce(context, request, async () => {
        const services = await deadLetters.replay({ id, limit: 1, operator });
        refresh(services);
        return outcome(id, services.length > 0, request.id);
      });
      log.info(
        { trace_id: request.id, operator, dead_letter: id, status: executed.answer.status },
        'replay of a dead letter',
      );
      return sendAnswer(reply, executed);
    });

    app.post('/dlq/:id/discard', { schema: operations.discard }, async (request, reply) => {
      const [id, operator] = [uuidParam(request.params.id), operatorOf(request.headers)];
      const executed = await actOnce(context, request, async () =>
        outcome(id, await deadLetters.discard(id, operator), request.id),
      );
      log.info(
        { trace_id: request.id, operator, dead_letter: id, status: executed.answer.status },
        'discard of a dead letter',
      );
      return sendAnswer(reply, executed);
    });

    app.post('/dlq/replay', { schema: operations.replayMany }, async (request, reply) => {
      const filter = filterOf(request.body);
      const operator = operatorOf(request.headers);
      const executed = await actOnce(context, request, async () => {
        const replayed = await replayAll(filter, operator);
        return { status: 200, body: { replayed, remaining: await deadLetters.countOpen(filter) } };
      });
      log.info({ trace_id: request.id, operator, ...filter, answer: executed.answer.body }, 'replay of dead letters');
      return sendAnswer(reply, executed);
    });
  };
}

function refusal(code: 'dead_letter_not_found' | 'dead_letter_settled', message: string, traceId: string): Answer {
  return answerRefusal({ code, message }, traceId);
}

function filterOf(given: { readonly fingerprint?: string; readonly service?: string }): DeadLetterFilter {
  const { fingerprint, service } = given;
  return { ...(fingerprint !== undefined && { fingerprint }), ...(service !== undefined && { consumer: service }) };
}

function letterView(letter: DeadLetter): Static<typeof letterSchema> {
  const { consumer, event, retry_at, resolved_at, ...rest } = letter;
  return {
    ...rest,
    service: consumer,
    event_type: String(event.type),
    ...seen(letter),
    retry_at: timestampOrNull(retry_at),
    resolved_at: timestampOrNull(resolved_at),
  };
}

/** Card tokens are for the gateway alone. */
function withEvent(letter: DeadLetter): Static<typeof letterSchema> {
  const { payment_token: _token, ...data } = (letter.event.data ?? {}) as Record<string, unknown>;
  return { ...letterView(letter), event: { ...letter.event, data } };
}

function seen({ first_seen, last_seen }: { readonly first_seen: number; readonly last_seen: number }) {
  return { first_seen: toTimestamp(first_seen), last_seen: toTimestamp(last_seen) };
}
