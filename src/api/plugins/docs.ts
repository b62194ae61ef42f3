import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { ERRORS, type ErrorCode } from '#kernel/core/errors.ts';
import { problemOf, problemSchema } from '#kernel/http/problem.ts';
import { FIELD_CODES } from '#kernel/http/validation.ts';

const DAY_SECONDS = 86_400;
const EXAMPLE_TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';

/** Collects the documentation from the schemas of the routes. To be called before the routes are added. */
export async function collectDocs(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Caudal', version: '1', description: description() },
      components: { schemas: { Problem: problemSchema as object } },
    },
    hideUntagged: true,
    transform,
  } satisfies FastifyDynamicSwaggerOptions);
}

/** `/docs` and `/openapi.json`; all assets come from this server. To be called after the routes were added. */
export async function serveDocs(app: FastifyInstance): Promise<void> {
  app.get('/openapi.json', { schema: { hide: true } }, (_request, reply) => {
    reply.header('cache-control', `public, max-age=${DAY_SECONDS}`).send(app.swagger());
  });
  await app.register(async (scope) => {
    scope.addHook('onSend', (_request, reply, _payload, done) => {
      reply.header('cache-control', `public, max-age=${DAY_SECONDS}`);
      done();
    });
    await scope.register(swaggerUi, { routePrefix: '/docs', staticCSP: true });
  });
}

/** Adds the refusals of an operation, which are not needed to serve it. */
const transform: NonNullable<FastifyDynamicSwaggerOptions['transform']> = ({ schema, url }) => {
  const { 'x-refusals': refusals, ...rest } = schema as typeof schema & {
    readonly 'x-refusals'?: readonly ErrorCode[];
  };
  if (refusals === undefined) return { schema, url };
  return { schema: { ...rest, response: { ...(rest.response as object), ...problemResponses(refusals) } }, url };
};

/** For each status: what its codes mean, and an example of each. */
function problemResponses(codes: readonly ErrorCode[]): Record<number, object> {
  const statuses = [...new Set(codes.map((code) => ERRORS[code][0]))].sort();
  return Object.fromEntries(
    statuses.map((status) => {
      const own = codes.filter((code) => ERRORS[code][0] === status);
      const examples = Object.fromEntries(own.map((code) => [code, { value: exampleOf(code) }]));
      const description = own.map((code) => `\`${code}\`: ${ERRORS[code][1]}`).join('\n\n');
      const schema = { $ref: '#/components/schemas/Problem' };
      return [status, { description, content: { 'application/problem+json': { schema, examples } } }];
    }),
  );
}

function exampleOf(code: ErrorCode): object {
  return problemOf(code, ERRORS[code][1], EXAMPLE_TRACE_ID);
}

function description(): string {
  const errors = Object.entries(ERRORS).map(([code, [status, meaning]]) => `| \`${code}\` | ${status} | ${meaning} |`);
  const fields = Object.entries(FIELD_CODES).map(([code, meaning]) => `| \`${code}\` | ${meaning} |`);
  return `Takes and moves money: wallets, card payments, refunds.

Amounts are taken as numbers or decimal strings in major units, exactly, and given as \`amount\` and the exact integer \`amount_minor\`.
Every write takes an \`Idempotency-Key\`: the same key and request again get the first answer, with \`Idempotency-Replayed: true\`.
Every answer carries \`x-trace-id\`; a \`traceparent\` that is sent is continued.

## Errors

Every error is \`application/problem+json\` with one of these codes:

| code | status | meaning |
|---|---|---|
${errors.join('\n')}

Each entry of \`errors\` names a field and has one of the codes above, or one of these:

| code | meaning |
|---|---|
${fields.join('\n')}
`;
}
