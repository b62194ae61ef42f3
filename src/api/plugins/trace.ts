import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { IdSource } from '#kernel/core/ids.ts';

/** W3C Trace Context, version 00 and later ones that start the same; ids of zeros alone are invalid. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:$|-)/;
const SPAN_ID_LENGTH = 16;

/** Makes the trace id of a request its id: the one of its traceparent header, else a new one. */
export function traceIdSource(ids: IdSource): (request: IncomingMessage) => string {
  return (request) => {
    const given = request.headers.traceparent;
    const found = typeof given === 'string' ? TRACEPARENT.exec(given) : null;
    return found?.[1] ?? ids.traceId();
  };
}

/** Puts the trace id on every answer. */
export function sendTraceId(app: FastifyInstance, ids: IdSource): void {
  app.addHook('onRequest', (request, reply, done) => {
    setTraceId(request, reply, ids);
    done();
  });
}

/** Puts the trace id on an answer, for those that pass by the hooks. */
export function setTraceId(request: FastifyRequest, reply: FastifyReply, ids: IdSource): void {
  reply.header('x-trace-id', request.id);
  reply.header('traceparent', `00-${request.id}-${ids.traceId().slice(SPAN_ID_LENGTH)}-01`);
}
