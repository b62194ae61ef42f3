import { setTimeout as pause } from 'node:timers/promises';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { type Static, Type } from '@sinclair/typebox';
import type { DeadLetterPlace, FoundLetter } from '#kernel/bus/dead-letters.ts';
import { restoreDeadLetter } from '#kernel/bus/postgres/dead-letter-outbox.ts';
import { type DeadLetter, findDeadLetterOf, replayDeadLetters } from '#kernel/bus/postgres/error-log.ts';
import { DataError, RequestError } from '#kernel/core/errors.ts';
import { oneOf } from '#kernel/core/schemas.ts';
import { sendAnswer } from '#kernel/http/answer.ts';
import { nullableText, writeOperation } from '#kernel/http/operation.ts';
import { InvalidInputError } from '#kernel/http/validation.ts';
import type { ApiContext, DeadLettersOnKafka } from '../context.ts';
import { actOnce, operatorOf } from '../operator.ts';
import type { RateLimit } from '../rate-limit.ts';

const OUTCOMES = ['replayed', 'recreated', 'settled', 'foreign', 'unreadable'] as const;

const resultSchema = Type.Object({
  partition: Type.Integer(),
  offset: Type.Integer(),
  id: nullableText('of the dead letter'),
  outcome: oneOf(
    OUTCOMES,
    '`replayed`; `recreated`: and replayed, its row was gone; `settled`: not open; `foreign`: of another store; `unreadable`: none',
  ),
  detail: nullableText('why it was not replayed'),
});
type Result = Static<typeof resultSchema>;

const rangeSchema = Type.Object(
  {
    partition: Type.Integer({ minimum: 0 }),
    from: Type.Optional(
      Type.Integer({ minimum: 0, description: 'the first offset; default: the first that there is' }),
    ),
    to: Type.Optional(
      Type.Integer({ minimum: 0, description: 'the last offset; default: the last that there is now' }),
    ),
  },
  { additionalProperties: false },
);
const wholeRange = Type.Required(rangeSchema);
type Range = Static<typeof wholeRange>;
const replayedSchema = Type.Object({ results: Type.Array(resultSchema), remaining: Type.Array(wholeRange) });
type Replayed = Static<typeof replayedSchema>;

/** One replay by an operator. */
interface Act {
  readonly operator: string;
  /** What it has replayed: a dead letter that failed again may be on the topic twice. */
  readonly replayed: Set<string>;
}

const replayOperation = writeOperation({
  tag: 'dead letters',
  summary: 'Hand dead letters to their services again, as they are found on a topic of Kafka',
  description:
    'Each is the dead letter of its row, and is replayed as that; where the row is gone it is made anew. In the order of the topic, so many per second and per request as the settings allow; `remaining` is what another call is needed for.',
  params: Type.Object({ topic: Type.String({ maxLength: 249 }) }),
  body: Type.Object(
    { ranges: Type.Optional(Type.Array(rangeSchema, { minItems: 1, maxItems: 1000, description: 'default: all' })) },
    { additionalProperties: false, examples: [{ ranges: [{ partition: 0, from: 17, to: 17 }] }] },
  ),
  answers: { 200: replayedSchema },
  refusals: ['kafka_not_used', 'dead_letter_topic_not_found'],
});

const PAUSE_MS = 50;

/**
 * `/dlq/topics/…`: replay of dead letters by where they stand on Kafka.
 * @param limit of replays
 */
export function dlqTopicRoutes(context: ApiContext, limit: RateLimit): FastifyPluginAsyncTypebox {
  const { clock, settings, log } = context;
  const databases = new Map(context.databases.map(({ id, sql }) => [id, sql]));
  let stopping = false;

  /** @returns false when there was none in time */
  const permit = async (until: number): Promise<boolean> => {
    while (limit.take(1) === 0) {
      if (stopping || clock.now() >= until) return false;
      await pause(PAUSE_MS);
    }
    return true;
  };

  const replayOne = async (found: FoundLetter, place: DeadLetterPlace, by: Act): Promise<Result> => {
    const { partition, offset } = place;
    const result = (id: string | null, outcome: Result['outcome'], detail: string | null = null): Result => {
      return { partition, offset, id, outcome, detail };
    };
    if ('problem' in found) return result(null, 'unreadable', found.problem);
    const { letter, store } = found;
    const sql = databases.get(store);
    if (sql === undefined)
      return result(letter.id, 'foreign', `its row is in the store ${store}, which this process does not use`);
    const restored = await restoreDeadLetter(sql, letter, place);
    const row = await findDeadLetterOf(sql, { id: letter.id, consumer: letter.service, eventId: letter.event.id });
    if (row === undefined) throw new Error(`the row of dead letter ${letter.id} went away at once`);
    if (by.replayed.has(row.id)) return result(row.id, 'settled', 'this request has replayed it already');
    const services = await replayDeadLetters(sql, { id: row.id, limit: 1, operator: by.operator });
    for (const service of services) context.refreshRetries(service);
    if (services.length === 0) return result(row.id, 'settled', settledDetail(row));
    by.replayed.add(row.id);
    return result(row.id, restored ? 'recreated' : 'replayed');
  };

  /** One that cannot be stored is none of ours, whatever its headers say. */
  const tryOne = async (found: FoundLetter, place: DeadLetterPlace, by: Act): Promise<Result> => {
    try {
      return await replayOne(found, place, by);
    } catch (cause) {
      if (!(cause instanceof DataError)) throw cause;
      return replayOne({ offset: found.offset, problem: cause.message }, place, by);
    }
  };

  const replayRanges = async (
    { topics }: DeadLettersOnKafka,
    topic: string,
    ranges: readonly Range[],
    by: Act,
  ): Promise<Replayed> => {
    const until = clock.now() + settings.maxWaitSeconds * 1000;
    const results: Result[] = [];
    const mayGoOn = async () => results.length < settings.dlqTopicReadMax && !stopping && (await permit(until));
    for (const [i, { partition, from, to }] of ranges.entries()) {
      for (let at = from; at <= to; ) {
        const { found, next } = await topics.read({ topic, partition, offset: at });
        for (const one of found.filter(({ offset }) => offset <= to)) {
          const { offset } = one;
          if (!(await mayGoOn()))
            return { results, remaining: [{ partition, from: offset, to }, ...ranges.slice(i + 1)] };
          const result = await tryOne(one, { topic, partition, offset }, by);
          if (!isReplay(result)) limit.giveBack(1);
          results.push(result);
        }
        // It ends before the range: it was made anew meanwhile.
        if (next === at) break;
        at = next;
      }
    }
    return { results, remaining: [] };
  };

  return async (app) => {
    app.addHook('preClose', async () => {
      stopping = true;
    });

    app.post('/dlq/topics/:topic/replay', { schema: replayOperation }, async (request, reply) => {
      const { topic } = request.params;
      const operator = operatorOf(request.headers);
      const onKafka = deadLettersOn(context, topic);
      const executed = await actOnce(context, request, async () => {
        const ranges = await wholeRanges(onKafka, topic, request.body.ranges);
        const body = await replayRanges(onKafka, topic, ranges, {
          operator,
          replayed: new Set(),
        });
        const replayed = body.results.filter(isReplay).length;
        log.info(
          { trace_id: request.id, operator, topic, ranges, looked_at: body.results.length, replayed },
          'replay from a topic of dead letters',
        );
        return { status: 200, body };
      });
      return sendAnswer(reply, executed);
    });
  };
}

/** @throws RequestError when there is no Kafka, or no such topic */
function deadLettersOn({ deadLettersOnKafka: onKafka }: ApiContext, topic: string): DeadLettersOnKafka {
  if (onKafka === undefined)
    throw new RequestError(
      'kafka_not_used',
      'dead letters are on no topic: this system has no Kafka, KAFKA_BROKERS is not set',
    );
  if (onKafka.names.includes(topic)) return onKafka;
  throw new RequestError(
    'dead_letter_topic_not_found',
    `dead letters go to ${onKafka.names.join(', ')}, not to ${topic}`,
  );
}

/** The ranges with both ends, as far as Kafka has something there. @throws InvalidInputError for a partition that there is not */
async function wholeRanges(
  { topics }: DeadLettersOnKafka,
  topic: string,
  given: readonly Static<typeof rangeSchema>[] | undefined,
): Promise<readonly Range[]> {
  const bounds = await topics.bounds(topic);
  const wanted = given ?? bounds.map(({ partition }) => ({ partition }));
  const ranges = wanted.map(({ partition, from = 0, to = Number.MAX_SAFE_INTEGER }: Static<typeof rangeSchema>, i) => {
    const bound = bounds[partition];
    if (bound === undefined) {
      const [field, message] = [`ranges.${i}.partition`, `${topic} has the partitions 0 to ${bounds.length - 1}`];
      throw new InvalidInputError([{ field, code: 'out_of_range', message }]);
    }
    return { partition, from: Math.max(from, bound.start), to: Math.min(to, bound.end - 1) };
  });
  return ranges.filter(({ from, to }) => from <= to);
}

function isReplay({ outcome }: Result): boolean {
  return outcome === 'replayed' || outcome === 'recreated';
}

function settledDetail({ status, resolved_by }: DeadLetter): string {
  return `the dead letter is ${status}, not open${resolved_by === null ? '' : `; it was ${resolved_by} who saw to it`}`;
}
