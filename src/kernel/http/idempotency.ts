import { hash } from 'node:crypto';
import { canonicalJson } from '../core/canonical-json.ts';
import { RequestError } from '../core/errors.ts';
import type { AnswerKey } from '../processor/execute.ts';

/** What of an HTTP request its idempotency key depends on. */
export interface KeyedRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: unknown;
}

export const BASE_PATH = '/api/v1';

/** When a natural key expires that is kept as long as what it names: a moment that PostgreSQL's microseconds hold in a safe integer. */
export const NEVER = Date.UTC(2200, 0, 1);

const NO_KEYS: readonly AnswerKey[] = Object.freeze([]);
const KEY = /^[\x20-\x7e]{1,255}$/;

/**
 * The key under which the answer to a request is stored: its Idempotency-Key, apart for each method and path. Without
 * the header there is none.
 * @param expiresAt milliseconds since 1970
 * @throws RequestError `idempotency_key_invalid`
 */
export function answerKeysOf(request: KeyedRequest, expiresAt: number): readonly AnswerKey[] {
  const given = request.headers['idempotency-key'];
  if (given === undefined) return NO_KEYS;
  if (typeof given !== 'string' || !KEY.test(given)) {
    throw new RequestError('idempotency_key_invalid', 'Idempotency-Key must have 1 to 255 printable ASCII characters');
  }
  const operation = `${request.method} ${pathOf(request.url)}`;
  const requestHash = hash('sha256', `${operation}\n${canonicalJson(request.body)}`, 'hex');
  return [{ scope: 'http', key: `${operation} ${given}`, requestHash, expiresAt }];
}

/** The same request with and without the base path is the same. */
function pathOf(url: string): string {
  const end = url.indexOf('?');
  const path = end < 0 ? url : url.slice(0, end);
  return path.startsWith(`${BASE_PATH}/`) ? path.slice(BASE_PATH.length) : path;
}
