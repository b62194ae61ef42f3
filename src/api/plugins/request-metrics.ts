import type { FastifyInstance, RouteOptions } from 'fastify';
import { BASE_PATH } from '#kernel/http/idempotency.ts';
import type { Metrics } from '#kernel/observability/metrics.ts';

/** Measures every route by itself: the route is looked up once, when it is added. To be called before the routes are added. */
export function measureRequests(app: FastifyInstance, metrics: Metrics): void {
  app.addHook('onRoute', (route) => {
    const observe = metrics.requests([route.method].flat().join(','), withoutBase(route));
    route.onResponse = (_request, reply, done) => {
      observe(reply.statusCode, reply.elapsedTime, reply.hasHeader('preference-applied'));
      done();
    };
  });
}

/** Paths with and without the base are the same route. */
function withoutBase({ url }: RouteOptions): string {
  return url.startsWith(`${BASE_PATH}/`) ? url.slice(BASE_PATH.length) : url;
}
