import http, { type ClientRequest, type IncomingMessage } from 'node:http';
import https from 'node:https';

/**
 * A whole answer of an HTTP server, its body undefined when it is not JSON; or why there is none. `sent` is false only
 * when the server cannot have received the call.
 */
export type HttpOutcome =
  | { readonly ok: true; readonly status: number; readonly body: unknown }
  | { readonly ok: false; readonly sent: boolean; readonly reason: 'unreachable' | 'timeout' | 'connection_lost' };

export interface JsonClient {
  /**
   * Makes one call. Never rejects.
   * @param path appended to the base url, query included
   * @param body sent as JSON when given
   */
  call(method: 'GET' | 'POST', path: string, options: CallOptions): Promise<HttpOutcome>;
  /** Cuts every connection. */
  close(): void;
}

interface CallOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: object;
  readonly signal: AbortSignal;
}

export interface JsonClientSettings {
  readonly baseUrl: string;
  /** Connections at most; further calls wait for one. */
  readonly maxConnections: number;
  /** Longer answers are not read. */
  readonly maxAnswerBytes: number;
}

/** Failures before a connection exists: nothing was sent. */
const CONNECTING = new Set(['connect', 'getaddrinfo']);

/**
 * JSON over HTTP on connections that stay open. `node:http` because a call costs it half the processor time of the
 * built-in `fetch`; see the README for the figures.
 */
export function createJsonClient({ baseUrl, maxConnections, maxAnswerBytes }: JsonClientSettings): JsonClient {
  const base = new URL(baseUrl);
  const transport = base.protocol === 'https:' ? https : http;
  const agent = new transport.Agent({ keepAlive: true, maxSockets: maxConnections, maxFreeSockets: maxConnections });
  const target = { host: base.hostname.replace(/^\[|\]$/g, ''), port: base.port, agent };
  const prefix = base.pathname.replace(/\/$/, '');

  function call(method: 'GET' | 'POST', path: string, { headers, body, signal }: CallOptions): Promise<HttpOutcome> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    return new Promise((resolve) => {
      const request = transport.request({
        ...target,
        method,
        path: prefix + path,
        headers: text === undefined ? headers : { ...headers, ...contentHeaders(text) },
      });
      const abort = () => request.destroy();
      signal.addEventListener('abort', abort, { once: true });
      const finish = (outcome: HttpOutcome) => {
        signal.removeEventListener('abort', abort);
        resolve(outcome);
      };
      request.on('error', (error) => finish(failureOf(error, request, signal)));
      request.on('response', (response) => readAnswer(response, maxAnswerBytes, signal, finish));
      request.end(text);
      if (signal.aborted) abort();
    });
  }

  return { call, close: () => agent.destroy() };
}

function contentHeaders(text: string): Record<string, string | number> {
  return { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
}

function failureOf(error: NodeJS.ErrnoException, request: ClientRequest, signal: AbortSignal): HttpOutcome {
  const sent = !CONNECTING.has(error.syscall ?? '') && request.socket?.connecting === false;
  if (signal.aborted) return { ok: false, sent, reason: 'timeout' };
  return { ok: false, sent, reason: sent ? 'connection_lost' : 'unreachable' };
}

function readAnswer(
  response: IncomingMessage,
  maxBytes: number,
  signal: AbortSignal,
  finish: (outcome: HttpOutcome) => void,
): void {
  const chunks: Buffer[] = [];
  let size = 0;
  response.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= maxBytes) chunks.push(chunk);
    else response.destroy();
  });
  response.on('end', () => finish(parse(response.statusCode ?? 0, Buffer.concat(chunks))));
  // After `end` this changes nothing; before it, the answer was cut off.
  response.on('close', () => finish({ ok: false, sent: true, reason: signal.aborted ? 'timeout' : 'connection_lost' }));
}

function parse(status: number, bytes: Buffer): HttpOutcome {
  try {
    return { ok: true, status, body: JSON.parse(bytes.toString('utf8')) };
  } catch {
    // A proxy's error page, say: its status tells enough, and what it says may hold anything.
    return { ok: true, status, body: undefined };
  }
}
