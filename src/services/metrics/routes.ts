import type { FastifyPluginAsync } from 'fastify';
import type { Registry } from 'prom-client';

/** `/metrics`, in the text format of Prometheus. */
export function metricsRoutes(registry: Registry): FastifyPluginAsync {
  return async (app) => {
    app.get(
      '/metrics',
      { schema: { tags: ['health'], summary: 'Metrics, in the text format of Prometheus' } },
      async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()),
    );
  };
}
