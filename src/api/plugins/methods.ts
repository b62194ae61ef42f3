import type { FastifyInstance } from 'fastify';
import { RequestError } from '#kernel/core/errors.ts';

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

/** Paths that exist answer 405, not 404, to methods that they do not take. To be called before the routes are added. */
export function refuseOtherMethods(app: FastifyInstance): { readonly addRefusals: () => void } {
  const known = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const methods = known.get(url) ?? new Set();
    for (const name of [method].flat()) methods.add(name);
    known.set(url, methods);
  });
  return {
    addRefusals: () => {
      for (const [url, taken] of [...known]) refuseAt(app, url, taken);
    },
  };
}

function refuseAt(app: FastifyInstance, url: string, taken: ReadonlySet<string>): void {
  const refused = METHODS.filter((method) => !taken.has(method));
  if (refused.length === 0 || url.includes('*')) return;
  const allowed = [...taken].join(', ');
  app.route({
    method: refused,
    url,
    schema: { hide: true },
    // Before the body is looked at: whatever it is, the answer is the same.
    onRequest: (_request, reply, done) => {
      reply.header('allow', allowed);
      done(new RequestError('method_not_allowed', `this path takes ${allowed}`));
    },
    handler: () => undefined,
  });
}
