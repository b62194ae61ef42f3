import type { TSchema } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import type { FastifyInstance, FastifySchemaCompiler } from 'fastify';
import { createCheck, type FieldProblem, InvalidInputError } from '#kernel/http/validation.ts';

/** Validates by the TypeBox schemas themselves, and names every field that is wrong. */
export function validateRequests(app: FastifyInstance): void {
  app.setValidatorCompiler(compile);
}

/** Bodies are taken as they are; the texts of paths and queries become numbers and booleans where the schema says so. */
const compile: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  // Headers are checked where they are used, so that a request without them costs nothing.
  if (httpPart === 'headers') return () => true;
  const check = createCheck(schema);
  return (value: unknown) => {
    const input = httpPart === 'body' ? value : Value.Convert(schema, value);
    const problems = httpPart === 'body' ? check(input) : [...check(input), ...zeroBytes(input)];
    return problems.length === 0 ? { value: input } : { error: new InvalidInputError(problems) };
  };
};

/** `%00` in a URL: no text of the database can hold it. */
function zeroBytes(input: unknown): readonly FieldProblem[] {
  return Object.entries(input as object)
    .filter(([, value]) => typeof value === 'string' && value.includes('\0'))
    .map(([field]) => ({ field, code: 'wrong_format', message: `${field} must not contain U+0000` }));
}
