import { type TObject, type TSchema, Type } from '@sinclair/typebox';
import { ERRORS, type ErrorCode } from '../core/errors.ts';
import { problemOf } from './problem.ts';

/** One operation of the API, as its documentation and its validation need it. */
export interface Operation {
  readonly tag: string;
  /** One line. */
  readonly summary: string;
  readonly description?: string;
  readonly params?: TObject;
  readonly querystring?: TObject;
  readonly body?: TSchema;
  /** Success status → body. */
  readonly answers: Readonly<Record<number, TSchema>>;
  /** Codes that only this operation refuses with; those that any can are added. */
  readonly refusals?: readonly ErrorCode[];
}

const EVERY_OPERATION: readonly ErrorCode[] = ['invalid_request', 'unavailable', 'internal_error'];
const EVERY_WRITE: readonly ErrorCode[] = [
  'invalid_json',
  'body_too_large',
  'unsupported_media_type',
  'idempotency_key_invalid',
  'idempotency_key_reused',
  'idempotency_key_in_progress',
  'too_many_requests',
];

const idempotencyHeader = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({ minLength: 1, maxLength: 255, description: 'the same key with the same request gets the stored answer again' }),
  ),
});

export const problemSchema = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String({ description: 'stable; see the table of errors' }),
    detail: Type.String(),
    trace_id: Type.String(),
    errors: Type.Array(
      Type.Object({ field: Type.String(), message: Type.String(), code: Type.String() }),
      { description: 'every field that is wrong' },
    ),
  },
  { title: 'Problem', description: 'RFC 9457 problem details' },
);

/** The list body `{data, next_cursor}`. */
export const pageSchema = <T extends TSchema>(item: T) =>
  Type.Object({ data: Type.Array(item), next_cursor: Type.Union([Type.String(), Type.Null()]) });

/** The route schema of an operation that changes nothing. */
export function readOperation(operation: Operation) {
  return routeSchema(operation, EVERY_OPERATION);
}

/** The route schema of a write: it takes an Idempotency-Key. */
export function writeOperation(operation: Operation) {
  return { ...routeSchema(operation, [...EVERY_OPERATION, ...EVERY_WRITE]), headers: idempotencyHeader };
}

function routeSchema(operation: Operation, common: readonly ErrorCode[]) {
  const { tag, answers, refusals = [], ...rest } = operation;
  return { ...rest, tags: [tag], response: { ...answers, ...problemResponses([...new Set([...refusals, ...common])]) } };
}

const EXAMPLE_TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';

/** For each status: what its codes mean, and an example. */
function problemResponses(codes: readonly ErrorCode[]): Record<number, object> {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of codes) {
    const [status] = ERRORS[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, own]) => [
      status,
      {
        description: own.map((code) => `\`${code}\`: ${ERRORS[code][1]}`).join('\n\n'),
        content: { 'application/problem+json': { schema: problemSchema, examples: examplesOf(own) } },
      },
    ]),
  );
}

function examplesOf(codes: readonly ErrorCode[]): Record<string, object> {
  return Object.fromEntries(codes.map((code) => [code, { value: problemOf(code, ERRORS[code][1], EXAMPLE_TRACE_ID) }]));
}
