import type { Duplex } from 'node:stream';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type ErrorCode, RequestError, toError } from '#kernel/core/errors.ts';
import type { IdSource } from '#kernel/core/ids.ts';
import { sendProblem } from '#kernel/http/answer.ts';
import { PROBLEM_MEDIA_TYPE, problemOf, problemOfError, problemText } from '#kernel/http/problem.ts';
import type { Log } from '#kernel/observability/log.ts';

/** Refusals of the HTTP framework → our codes. */
const FRAMEWORK_CODES: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'invalid_http',
  FST_ERR_BAD_URL: 'not_found',
  FST_ERR_MAX_PARAM_LENGTH: 'not_found',
};

/** Makes every error a problem document. */
export function answerErrors(app: FastifyInstance, log: Log): void {
  app.setErrorHandler((error, request, reply) => answerError(error, request, reply, log));
  app.setNotFoundHandler((request, reply) => {
    sendProblem(
      reply,
      problemOf('not_found', `there is nothing at ${request.method} ${pathOf(request.url)}`, request.id),
    );
  });
}

/** Answers what was thrown while a request was handled; what nobody expected is logged. */
export function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply, log: Log): void {
  const known = problemOfError(fromFramework(error), request.id);
  if (known === undefined) {
    const fields = { trace_id: request.id, method: request.method, path: pathOf(request.url), error: toError(error) };
    log.error(fields, 'a request failed unexpectedly');
    sendProblem(
      reply,
      problemOf('internal_error', 'an unexpected fault; the trace id finds it in the logs', request.id),
    );
    return;
  }
  if (known.problem.code === 'unavailable') log.debug({ trace_id: request.id, error: toError(error) }, 'answered 503');
  if (known.retryAfter !== undefined) reply.header('retry-after', String(known.retryAfter));
  if (known.problem.code === 'body_too_large') readOn(request, reply);
  sendProblem(reply, known.problem);
}

/**
 * Takes the rest of a body that is refused, and drops it: closed with bytes unread, the connection would be reset, and the
 * client, still sending, would see that instead of the answer. How long that may go on is limited by the server's
 * `requestTimeout`.
 */
function readOn(request: FastifyRequest, reply: FastifyReply): void {
  reply.removeHeader('connection');
  request.raw.resume();
}

/** Answers what is no HTTP: there is no request, only a socket. */
export function answerMalformed(error: NodeJS.ErrnoException, socket: Duplex, ids: IdSource): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const traceId = ids.traceId();
  const body = problemText(problemOf('invalid_http', `the request cannot be read (${error.code})`, traceId));
  const head = ['HTTP/1.1 400 Bad Request', 'Connection: close', `Content-Type: ${PROBLEM_MEDIA_TYPE}`];
  head.push(`Content-Length: ${Buffer.byteLength(body)}`, `x-trace-id: ${traceId}`);
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

function fromFramework(error: unknown): unknown {
  const code = FRAMEWORK_CODES[(error as Partial<FastifyError>).code ?? ''];
  return code === undefined ? error : new RequestError(code, toError(error).message);
}

/** Queries may hold what should not be logged. */
function pathOf(url: string): string {
  return url.split('?', 1)[0]!;
}
