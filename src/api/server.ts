import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import fastify from 'fastify';
import { BASE_PATH } from '#kernel/http/idempotency.ts';
import { metricsRoutes } from '#services/metrics/routes.ts';
import type { ApiContext } from './context.ts';
import { acceptJson, BODY_LIMIT_BYTES } from './plugins/body.ts';
import { collectDocs, serveDocs } from './plugins/docs.ts';
import { answerError, answerErrors, answerMalformed } from './plugins/errors.ts';
import { refuseOtherMethods } from './plugins/methods.ts';
import { measureRequests } from './plugins/request-metrics.ts';
import { sendTraceId, setTraceId, traceIdSource } from './plugins/trace.ts';
import { validateRequests } from './plugins/validation.ts';
import { healthRoutes } from './routes/health.ts';
import { type ApiRoutes, apiRoutes } from './routes.ts';

/** The HTTP server of a process. */
export interface Api {
  /**
   * Listens.
   * @throws Error one line that names PORT or HOST when it cannot
   */
  start(): Promise<{ readonly url: string }>;
  /** Takes no new connections, answers what is under way, and closes. */
  stop(): Promise<void>;
}

/** A request must have come in, with its body, after so long; else it is refused as `invalid_http` and its connection closed. */
const REQUEST_TIMEOUT_MS = 60_000;

/** An id in a path has up to 255 characters, each of up to 4 bytes, each written as `%xx`. */
const MAX_PARAM_LENGTH = 3 * 4 * 255;

/** Makes the HTTP API on its context. */
export function createApi(context: ApiContext): Api {
  const routes = apiRoutes(context);
  let app: FastifyInstance | undefined;
  return {
    start: async () => {
      const { host, port } = context.settings;
      app = await buildApp(context, routes);
      try {
        return { url: await app.listen({ host, port }) };
      } catch (cause) {
        throw cannotListen(cause as NodeJS.ErrnoException, host, port);
      }
    },
    stop: async () => app?.close(),
  };
}

/** The server with all its routes, not listening yet. */
export async function buildApp(context: ApiContext, routes: ApiRoutes): Promise<FastifyInstance> {
  const { ids, log, metrics, health, clock } = context;
  const app = fastify({
    // Requests are counted and timed, not logged; errors are logged where they are answered.
    logger: false,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    genReqId: traceIdSource(ids),
    // While it stops, what still comes is answered 503 by the services themselves, as a problem document.
    return503OnClosing: false,
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    frameworkErrors: (error, request, reply) => {
      setTraceId(request, reply, ids);
      answerError(error, request, reply, log);
    },
    clientErrorHandler: (error, socket) => answerMalformed(error, socket, ids),
  });
  app.addHook('preClose', async () => routes.stop());
  acceptJson(app);
  validateRequests(app);
  sendTraceId(app, ids);
  answerErrors(app, log);
  measureRequests(app, metrics);
  const methods = refuseOtherMethods(app);
  await collectDocs(app);
  await app.register(withRoutes(routes.all), { prefix: BASE_PATH });
  await app.register(withRoutes(routes.withoutBase, true));
  healthRoutes(app, health, clock);
  await app.register(metricsRoutes(metrics.registry));
  methods.addRefusals();
  await serveDocs(app);
  await app.ready();
  return app;
}

/** @param hidden true for paths that the documentation has elsewhere */
function withRoutes(plugins: readonly FastifyPluginAsync[], hidden = false): FastifyPluginAsync {
  return async (scope) => {
    if (hidden) {
      scope.addHook('onRoute', (route) => {
        route.schema = { ...route.schema, hide: true };
      });
    }
    for (const plugin of plugins) await scope.register(plugin);
  };
}

function cannotListen(cause: NodeJS.ErrnoException, host: string, port: number): Error {
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: `port ${port} is in use; set PORT to a free one`,
    EACCES: `port ${port} needs more rights; set PORT to one above 1023`,
    EADDRNOTAVAIL: `${host} is not an address of this machine; set HOST to one that is`,
    ENOTFOUND: `${host} is not an address of this machine; set HOST to one that is`,
  };
  return new Error(
    reasons[cause.code ?? ''] ?? `cannot listen on ${host}:${port} (${cause.message}); see HOST and PORT`,
    { cause },
  );
}
