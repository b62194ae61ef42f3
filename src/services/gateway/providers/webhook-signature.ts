import { createHmac, timingSafeEqual } from 'node:crypto';
import { accept, type Result } from '#kernel/core/result.ts';
import type { WebhookRefusal } from '../provider.ts';

/** A signature that is right and recent. */
export interface CheckedSignature {
  /** The hex digest: it covers the time and the body, so it names one delivery. */
  readonly digest: string;
  /** When it was made, milliseconds since 1970. */
  readonly signedAt: number;
}

const SIGNATURE = /^t=(\d{1,12}),v1=([0-9a-f]{64})$/;

/**
 * Checks `t=<unix seconds>,v1=<hex HMAC-SHA256(secret, t + "." + body)>` in constant time.
 * @param body as it came, byte for byte
 * @param now milliseconds since 1970
 * @param toleranceMs how far the time of signing may be from now, either way
 */
export function checkSignature(
  header: unknown,
  body: Buffer,
  secret: string,
  now: number,
  toleranceMs: number,
): Result<CheckedSignature, WebhookRefusal> {
  const match = typeof header === 'string' ? SIGNATURE.exec(header) : null;
  if (match === null) return { ok: false, refusal: header === undefined ? 'missing_signature' : 'wrong_signature' };
  const [, seconds = '', digest = ''] = match;
  const expected = createHmac('sha256', secret).update(`${seconds}.`).update(body).digest();
  if (!timingSafeEqual(expected, Buffer.from(digest, 'hex'))) return { ok: false, refusal: 'wrong_signature' };
  const signedAt = Number(seconds) * 1000;
  if (Math.abs(now - signedAt) > toleranceMs) return { ok: false, refusal: 'stale' };
  return accept({ digest, signedAt });
}
