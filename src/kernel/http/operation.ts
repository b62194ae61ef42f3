import { STATUS_CODES } from 'node:http';
import { type TObject, type TSchema, Type } from '@sinclair/typebox';
import type { ErrorCode } from '../core/errors.ts';

/** One operation of the API, as its validation and its documentation need it. */
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
  /** Codes that this operation refuses with, besides those that any can. */
  readonly refusals?: readonly ErrorCode[];
}

/** The schema of a route, for validation, serialization and documentation. `x-refusals` is for the documentation alone. */
export type RouteSchema<O extends Operation> = Omit<O, 'tag' | 'answers' | 'refusals'> & {
  readonly tags: readonly string[];
  readonly response: Readonly<Record<number, TSchema>>;
  readonly 'x-refusals': readonly ErrorCode[];
};

const EVERY_OPERATION: readonly ErrorCode[] = ['invalid_request', 'unavailable', 'internal_error'];
const EVERY_WRITE: readonly ErrorCode[] = [
  ...EVERY_OPERATION,
  'invalid_json',
  'body_too_large',
  'unsupported_media_type',
  'idempotency_key_invalid',
  'idempotency_key_reused',
  'idempotency_key_in_progress',
  'too_many_requests',
];

/** The schema of an operation that changes nothing. */
export function readOperation<const O extends Operation>(operation: O): RouteSchema<O> {
  return toSchema(operation, EVERY_OPERATION);
}

/** The schema of a write that takes an Idempotency-Key. The header is checked where it is used: see `idempotency.ts`. */
export function writeOperation<const O extends Operation>(operation: O) {
  return { ...toSchema(operation, EVERY_WRITE), headers: idempotencyHeader };
}

const idempotencyHeader = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({ minLength: 1, maxLength: 255, description: 'the same key and request again get the first answer' }),
  ),
});

function toSchema<O extends Operation>(operation: O, common: readonly ErrorCode[]): RouteSchema<O> {
  const { tag, answers, refusals = [], ...rest } = operation;
  const response = Object.entries(answers).map(([status, schema]) => [
    status,
    { ...schema, description: STATUS_CODES[status] },
  ]);
  return {
    ...rest,
    tags: [tag],
    response: Object.fromEntries(response),
    'x-refusals': [...new Set([...refusals, ...common])],
  };
}

/** A text that may be null. Written as a list of types, which is several times faster to serialize than a union. */
export const nullableText = (description?: string) =>
  Type.Unsafe<string | null>({ type: ['string', 'null'], ...(description && { description }) });

/** The list body `{data, next_cursor}`. */
export const pageSchema = <T extends TSchema>(item: T) =>
  Type.Object({ data: Type.Array(item), next_cursor: nullableText() });
