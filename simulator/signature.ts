import { createHmac } from 'node:crypto';

/** Name of the header that carries the signature. */
export const SIGNATURE_HEADER = 'Caudal-Signature';

/**
 * The signature of a webhook: `t=<unix seconds>,v1=<hex HMAC-SHA256(secret, t + "." + body)>`.
 * The time is signed with the body so that a receiver can refuse a webhook that was recorded and sent again later.
 * @param now milliseconds since 1970
 */
export function sign(secret: string, body: string, now: number): string {
  const seconds = Math.floor(now / 1000);
  const digest = createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex');
  return `t=${seconds},v1=${digest}`;
}
