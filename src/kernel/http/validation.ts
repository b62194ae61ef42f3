import type { TSchema } from '@sinclair/typebox';
import { TypeCompiler, type ValueError, ValueErrorType } from '@sinclair/typebox/compiler';
import { ERRORS, type ErrorCode, RequestError } from '../core/errors.ts';

/** One field of a request that is wrong. */
export interface FieldProblem {
  /** Path with dots, such as `metadata.order`; empty: the body as a whole. */
  readonly field: string;
  readonly message: string;
  /** A code of the error table for what has one of its own (`invalid_amount`…), else a code of this module. */
  readonly code: string;
}

/** The codes of fields that do not fit their schema. */
export const FIELD_CODES = {
  required: 'The field is missing.',
  unknown_field: 'There is no such field.',
  wrong_type: 'The value is of another type.',
  not_allowed: 'The value is none of those allowed.',
  too_short: 'The value is too short.',
  too_long: 'The value is too long.',
  out_of_range: 'The number or moment is outside of its range.',
  wrong_format: 'The text is not of the form that is described.',
} as const satisfies Record<string, string>;

export type FieldCode = keyof typeof FIELD_CODES;

/** A request of which fields are wrong; every one of them is named. */
export class InvalidInputError extends RequestError {
  readonly problems: readonly FieldProblem[];

  constructor(problems: readonly FieldProblem[]) {
    super(commonCode(problems), problems.map((problem) => problem.message).join('; '));
    this.problems = problems;
  }
}

/** What is wrong has its own code when it is one thing, such as `unknown_currency`. */
function commonCode(problems: readonly FieldProblem[]): ErrorCode {
  const codes = new Set(problems.map((problem) => problem.code));
  const [code] = codes;
  return codes.size === 1 && code !== undefined && code in ERRORS ? (code as ErrorCode) : 'invalid_request';
}

/** At most so many problems are named. */
const MAX_PROBLEMS = 50;

/**
 * Compiles a schema into a function that names every field that does not fit.
 * @returns the problems of a value; none: it fits
 */
export function createCheck(schema: TSchema): (value: unknown) => readonly FieldProblem[] {
  const compiled = TypeCompiler.Compile(schema);
  return (value) => (compiled.Check(value) ? NO_PROBLEMS : describe(compiled.Errors(value)));
}

const NO_PROBLEMS: readonly FieldProblem[] = Object.freeze([]);

function describe(errors: Iterable<ValueError>): readonly FieldProblem[] {
  const problems = new Map<string, FieldProblem>();
  for (const error of errors) {
    const field = error.path.slice(1).replaceAll('/', '.');
    // A missing field is also of a wrong type: the first problem of a field is the one that says why.
    if (!problems.has(field)) problems.set(field, toProblem(field, error));
    if (problems.size >= MAX_PROBLEMS) break;
  }
  return [...problems.values()];
}

function toProblem(field: string, { type, schema, message }: ValueError): FieldProblem {
  const code = CODES.get(type) ?? 'wrong_type';
  const name = field === '' ? 'the body' : field;
  return { field, code, message: `${name} ${wordsFor(code, schema, message)}` };
}

const CODES: ReadonlyMap<ValueErrorType, FieldCode> = new Map([
  [ValueErrorType.ObjectRequiredProperty, 'required'],
  [ValueErrorType.ObjectAdditionalProperties, 'unknown_field'],
  [ValueErrorType.Kind, 'not_allowed'],
  [ValueErrorType.Literal, 'not_allowed'],
  [ValueErrorType.StringMinLength, 'too_short'],
  [ValueErrorType.ArrayMinItems, 'too_short'],
  [ValueErrorType.StringMaxLength, 'too_long'],
  [ValueErrorType.ArrayMaxItems, 'too_long'],
  [ValueErrorType.ObjectMaxProperties, 'too_long'],
  [ValueErrorType.IntegerMinimum, 'out_of_range'],
  [ValueErrorType.IntegerMaximum, 'out_of_range'],
  [ValueErrorType.StringPattern, 'wrong_format'],
]);

function wordsFor(code: FieldCode, schema: TSchema, message: string): string {
  switch (code) {
    case 'required':
      return 'is required';
    case 'unknown_field':
      return 'is not a field of this request';
    case 'not_allowed':
      return `must be one of ${(schema.enum ?? [schema.const]).join(', ')}`;
    default:
      return `is wrong: ${message.toLowerCase()}${schema.description === undefined ? '' : ` (${schema.description})`}`;
  }
}
