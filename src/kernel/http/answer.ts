import type { Refusal } from '../core/result.ts';
import type { CommandResult, Executed } from '../processor/execute.ts';
import { isErrorCode, PROBLEM_MEDIA_TYPE, type Problem, problemOf, problemText } from './problem.ts';

/** What a request is answered: stored under its idempotency key, and given again as it was. */
export interface Answer<Body = unknown> {
  readonly status: number;
  readonly body: Body | Problem;
}

/** A business no as an answer. @throws Error when the code is not in the error table: that is a defect */
export function answerRefusal({ code, message, field }: Refusal, traceId: string): Answer<never> {
  if (!isErrorCode(code)) throw new Error(`refusal code ${code} is not in the error table`);
  const errors = field === undefined ? [] : [{ field, message, code }];
  const problem = problemOf(code, message, traceId, errors);
  return { status: problem.status, body: problem };
}

/** The answer to a request of one command: `view` makes the body of a success. */
export function answerResult<State, Body>(
  result: CommandResult<State> | undefined,
  traceId: string,
  status: number,
  view: (done: Extract<CommandResult<State>, { ok: true }>['value']) => Body,
): Answer<Body> {
  if (result === undefined) throw new Error('a command without a result');
  return result.ok ? { status, body: view(result.value) } : answerRefusal(result.refusal, traceId);
}

/** What of an HTTP reply an answer needs. */
interface Reply {
  code(status: number): unknown;
  header(name: string, value: string): unknown;
  type(mediaType: string): unknown;
  send(body: unknown): unknown;
}

/** Sends a problem with its status. */
export function sendProblem(reply: Reply, problem: Problem): void {
  reply.code(problem.status);
  reply.type(PROBLEM_MEDIA_TYPE);
  reply.send(problemText(problem));
}

/** Sends an answer; one that was stored earlier says so. */
export function sendAnswer(reply: Reply, { answer, replayed }: Executed<Answer>): void {
  reply.code(answer.status);
  if (replayed) reply.header('idempotency-replayed', 'true');
  if (answer.status < 400) reply.send(answer.body);
  else sendProblem(reply, answer.body as Problem);
}
