import { Type } from '@sinclair/typebox';
import { ERRORS, type ErrorCode, RequestError, UnavailableError } from '../core/errors.ts';
import { oneOf } from '../core/schemas.ts';
import { type FieldProblem, InvalidInputError } from './validation.ts';

/** The body of every answer that says no: RFC 9457 problem details, with a stable code and all wrong fields. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: ErrorCode;
  readonly detail: string;
  readonly trace_id: string;
  readonly errors: readonly FieldProblem[];
}

/** The schema of `Problem`. */
export const problemSchema = Type.Object(
  {
    type: Type.String({ description: 'the code as a URI' }),
    title: Type.String(),
    status: Type.Integer(),
    code: oneOf(Object.keys(ERRORS) as ErrorCode[]),
    detail: Type.String(),
    trace_id: Type.String(),
    errors: Type.Array(Type.Object({ field: Type.String(), message: Type.String(), code: Type.String() }), {
      description: 'every field that is wrong',
    }),
  },
  { description: 'RFC 9457 problem details' },
);

export const PROBLEM_MEDIA_TYPE = 'application/problem+json; charset=utf-8';

/** Seconds after which a client should come back when a part is out of reach. */
const RETRY_AFTER_SECONDS = 1;

/** True for a code of the error table: domain refusals use the same codes. */
export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}

/** The problem details of a code. `type` names the code as a URI. */
export function problemOf(
  code: ErrorCode,
  detail: string,
  traceId: string,
  errors: readonly FieldProblem[] = [],
): Problem {
  const [status, title] = ERRORS[code];
  return { type: `urn:caudal:error:${code}`, title, status, code, detail, trace_id: traceId, errors };
}

/** A problem as JSON, its members in one order, also when it was stored meanwhile. */
export function problemText(problem: Problem): string {
  const { type, title, status, code, detail, trace_id } = problem;
  const errors = problem.errors.map(({ field, message, code }) => ({ field, message, code }));
  return JSON.stringify({ type, title, status, code, detail, trace_id, errors });
}

/** A problem as an answer, and when to try again (seconds), where that makes sense. */
export interface ProblemAnswer {
  readonly problem: Problem;
  readonly retryAfter: number | undefined;
}

/** What a client is told about something thrown; undefined: a fault of this program, of which it is told nothing more. */
export function problemOfError(error: unknown, traceId: string): ProblemAnswer | undefined {
  if (error instanceof InvalidInputError) {
    return { problem: problemOf(error.code, error.message, traceId, error.problems), retryAfter: undefined };
  }
  if (error instanceof RequestError) {
    return { problem: problemOf(error.code, error.message, traceId), retryAfter: error.retryAfter };
  }
  if (error instanceof UnavailableError) {
    return { problem: problemOf('unavailable', ERRORS.unavailable[1], traceId), retryAfter: RETRY_AFTER_SECONDS };
  }
  return undefined;
}
