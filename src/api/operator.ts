import { ConflictError, RequestError } from '#kernel/core/errors.ts';
import { saveAnswer } from '#kernel/event-store/postgres/answers.ts';
import type { Answer } from '#kernel/http/answer.ts';
import { answerKeysOf, type KeyedRequest } from '#kernel/http/idempotency.ts';
import { InvalidInputError } from '#kernel/http/validation.ts';
import type { Executed } from '#kernel/processor/execute.ts';
import type { ApiContext } from './context.ts';

const NAME = /^[\x20-\x7e]{1,100}$/;
const DEFAULT_NAME = 'operator';

/** Who acts, by the X-Operator header. @throws InvalidInputError when it is no name */
export function operatorOf(headers: KeyedRequest['headers']): string {
  const given = headers['x-operator'] ?? DEFAULT_NAME;
  if (typeof given === 'string' && NAME.test(given)) return given;
  throw new InvalidInputError([
    { field: 'X-Operator', code: 'wrong_format', message: 'X-Operator must have 1 to 100 printable ASCII characters' },
  ]);
}

const CAUSE_PREFIX = 'operator:';

/** How the events that an operator caused say so. */
export function operatorCause(operator: string): string {
  return CAUSE_PREFIX + operator;
}

/** The operator who caused an event, by its causationid. */
export function operatorIn(causationId: string | undefined): string | undefined {
  return causationId?.startsWith(CAUSE_PREFIX) ? causationId.slice(CAUSE_PREFIX.length) : undefined;
}

/**
 * Carries out an action on tables of the kernel, once for each Idempotency-Key. The action must be such that doing it
 * again does no harm: a crash between it and the note of its answer makes the next try act again.
 */
export async function actOnce(
  { databases: [{ store, sql }], clock, settings }: Pick<ApiContext, 'databases' | 'clock' | 'settings'>,
  request: KeyedRequest,
  act: () => Promise<Answer>,
): Promise<Executed<Answer>> {
  const [key] = answerKeysOf(request, clock.now() + settings.idempotencyTtlMs);
  if (key === undefined) return { answer: await act(), replayed: false };
  const [stored] = await store.findAnswers([key]);
  if (stored !== undefined) {
    if (stored.requestHash === key.requestHash) return { answer: stored.answer as Answer, replayed: true };
    throw new RequestError('idempotency_key_reused', 'the Idempotency-Key was used before, for another request');
  }
  const answer = await act();
  try {
    await saveAnswer(sql, { ...key, answer });
  } catch (cause) {
    if (!(cause instanceof ConflictError)) throw cause;
    throw new RequestError(
      'idempotency_key_in_progress',
      'another request with this Idempotency-Key ran at the same time',
    );
  }
  return { answer, replayed: false };
}
