import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';

/** An answer that is ready to be sent; its body goes out as JSON. */
export interface Reply {
  readonly status: number;
  readonly body: object;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A value, or the answer that refuses it. */
export type Checked<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refusal: Reply };

/** One field of a body that is wrong. */
export interface FieldError {
  readonly field: string;
  readonly message: string;
}

/**
 * An error answer as in RFC 9457.
 * @param code stable, for programs; `detail` is for people
 */
export function problem(status: number, code: string, detail: string, extra: object = {}): Reply {
  return {
    status,
    body: { type: 'about:blank', title: STATUS_CODES[status], status, code, detail, ...extra },
    headers: { 'content-type': 'application/problem+json' },
  };
}

export function refuse<T>(refusal: Reply): Checked<T> {
  return { ok: false, refusal };
}

/** 422 `invalid_request` that lists every wrong field. */
export function invalid<T>(errors: readonly FieldError[]): Checked<T> {
  const names = errors.map((error) => error.field).join(', ');
  return refuse(problem(422, 'invalid_request', `these fields are wrong: ${names}`, { errors }));
}

/** Writes the answer; does nothing when the caller has gone away. */
export function send(response: ServerResponse, reply: Reply): void {
  if (response.destroyed) return;
  const body = JSON.stringify(reply.body);
  response.writeHead(reply.status, {
    'content-type': 'application/json',
    ...reply.headers,
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}

/**
 * The request's body as JSON; `undefined` when it has none.
 * Refuses what is larger than `maxBytes` (413), not declared as JSON (415: a web page must not be able to post here
 * without the browser asking first), malformed or cut off (400).
 */
export async function readJson(request: IncomingMessage, maxBytes: number): Promise<Checked<unknown>> {
  const body = await readBody(request, maxBytes);
  if (body === 'too_large') {
    const refusal = problem(413, 'body_too_large', `the body is larger than ${maxBytes} bytes`);
    return refuse({ ...refusal, headers: { ...refusal.headers, connection: 'close' } });
  }
  if (body === 'cut_off')
    return refuse(problem(400, 'body_cut_off', 'the connection was closed before the body ended'));
  if (body.length === 0) return { ok: true, value: undefined };
  if (!/^application\/([\w.-]+\+)?json\b/i.test(request.headers['content-type'] ?? '')) {
    return refuse(problem(415, 'unsupported_media_type', 'send the header Content-Type: application/json'));
  }
  try {
    return { ok: true, value: JSON.parse(body.toString('utf8')) };
  } catch {
    // The parser's message quotes the body, which may hold a card number: it is not passed on.
    return refuse(problem(400, 'malformed_json', 'the body is not valid JSON'));
  }
}

function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer | 'too_large' | 'cut_off'> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= maxBytes) chunks.push(chunk);
      else resolve('too_large');
    });
    request.on('end', () => resolve(Buffer.concat(chunks)));
    request.on('error', () => resolve('cut_off'));
  });
}
