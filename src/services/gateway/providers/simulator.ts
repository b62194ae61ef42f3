import { type Static, Type } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { accept } from '#kernel/core/result.ts';
import type { OperationKind } from '../contract.ts';
import type { Answer } from '../decider.ts';
import type {
  CallFailure,
  CallOutcome,
  GatewayProvider,
  GatewayRequest,
  LookUpOutcome,
  Notification,
} from '../provider.ts';
import { createJsonClient, type HttpOutcome } from './json-client.ts';
import { checkSignature } from './webhook-signature.ts';

export interface SimulatorProviderSettings {
  readonly baseUrl: string;
  /** Signs webhooks; without one every webhook is refused. */
  readonly webhookSecret: string | undefined;
  /** Connections at most; give it as many as calls are under way at once. */
  readonly maxConnections: number;
  /** How old or new a webhook's signature may be; 300,000 by default. */
  readonly webhookToleranceMs?: number;
}

const DEFAULT_TOKEN = 'tok_visa';
const MAX_ANSWER_BYTES = 65_536;
const NULLABLE_TEXT = Type.Union([Type.String({ minLength: 1, maxLength: 255 }), Type.Null()]);

const operationSchema = Type.Object({
  id: Type.String({ minLength: 1, maxLength: 255 }),
  status: Type.Union([Type.Literal('succeeded'), Type.Literal('declined'), Type.Literal('pending')]),
  reason: NULLABLE_TEXT,
  reference: Type.String(),
  amount_minor: Type.Integer(),
  currency: Type.String(),
  transaction_id: NULLABLE_TEXT,
  idempotency_key: Type.String(),
});
const eventSchema = Type.Object({ type: Type.String(), data: Type.Unknown() });

const operationCheck = TypeCompiler.Compile(operationSchema);
const eventCheck = TypeCompiler.Compile(eventSchema);

const PATHS: Readonly<Record<OperationKind, string>> = { charge: '/v1/charges', refund: '/v1/refunds' };
const EVENT_TYPE = /^(charge|refund)\.(?:succeeded|declined|pending)$/;

/** Codes that refuse what was asked for good: nothing was moved, and no repetition would change that. */
const REFUSING = new Set([
  'card_number_refused',
  'charge_not_found',
  'charge_not_refundable',
  'currency_mismatch',
  'idempotency_key_invalid',
  'invalid_request',
  'refund_exceeds_charge',
  'unknown_token',
]);

/** The gateway simulator (see `simulator/README.md`), spoken to over HTTP. */
export function createSimulatorProvider(settings: SimulatorProviderSettings): GatewayProvider {
  const { baseUrl, maxConnections, webhookSecret, webhookToleranceMs = 300_000 } = settings;
  const client = createJsonClient({ baseUrl, maxConnections, maxAnswerBytes: MAX_ANSWER_BYTES });

  async function send(request: GatewayRequest, body: object, signal: AbortSignal): Promise<CallOutcome> {
    const headers = { 'idempotency-key': request.idempotency_key };
    return toCallOutcome(await client.call('POST', PATHS[request.kind], { headers, body, signal }));
  }

  return {
    name: 'simulator',
    requiresToken: false,
    charge: (request, signal) =>
      send(request, { ...money(request), payment_token: request.payment_token ?? DEFAULT_TOKEN }, signal),
    refund: (request, signal) => send(request, { ...money(request), charge_reference: request.payment_id }, signal),
    lookUp: async (request, signal) => {
      const query = `?idempotency_key=${encodeURIComponent(request.idempotency_key)}`;
      return toLookUpOutcome(await client.call('GET', PATHS[request.kind] + query, { signal }), request.kind);
    },
    verifyWebhook: (headers, body, now) => {
      if (!webhookSecret) return { ok: false, refusal: 'wrong_signature' };
      const signature = checkSignature(headers['caudal-signature'], body, webhookSecret, now, webhookToleranceMs);
      if (!signature.ok) return signature;
      const event = parseEvent(body);
      if (event === undefined) return { ok: false, refusal: 'malformed' };
      const { digest, signedAt } = signature.value;
      return accept({
        delivery: digest,
        staleAfter: signedAt + webhookToleranceMs,
        notification: toNotification(event),
      });
    },
    close: client.close,
  };
}

function money({ amount_minor, currency, id }: GatewayRequest) {
  return { amount_minor, currency, reference: id };
}

function toCallOutcome(http: HttpOutcome): CallOutcome {
  if (!http.ok) return notAnswered(http);
  const code = codeOf(http.body);
  if (code !== undefined && REFUSING.has(code)) return { outcome: 'refused', reason: code };
  return toOutcome(http.status, http.body);
}

function toLookUpOutcome(http: HttpOutcome, kind: OperationKind): LookUpOutcome {
  if (!http.ok) return notAnswered(http);
  if (http.status === 404 && codeOf(http.body) === `${kind}_not_found`) return { outcome: 'not_found' };
  return toOutcome(http.status, http.body);
}

function toOutcome(status: number, body: unknown): { outcome: 'answered'; answer: Answer } | CallFailure {
  if (status === 503) return { outcome: 'error', reason: 'gateway_unavailable' };
  if (status >= 300) return { outcome: 'error', reason: 'gateway_error' };
  const answer = toAnswer(body);
  return answer === undefined ? { outcome: 'error', reason: 'malformed_answer' } : { outcome: 'answered', answer };
}

function notAnswered({ sent, reason }: HttpOutcome & { ok: false }): CallFailure {
  return sent ? { outcome: 'unknown', reason } : { outcome: 'not_sent', reason: 'gateway_unavailable' };
}

function codeOf(body: unknown): string | undefined {
  const code = (body as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' && /^[a-z_]{1,64}$/.test(code) ? code : undefined;
}

function toAnswer(body: unknown): Answer | undefined {
  if (!operationCheck.Check(body)) return undefined;
  const { id, status, reason, transaction_id, idempotency_key, amount_minor, currency } = body;
  return {
    status,
    reason: status === 'succeeded' ? 'success' : (reason ?? status),
    gateway_payment_id: id,
    ...(transaction_id !== null && { transaction_id }),
    idempotency_key,
    amount_minor,
    currency,
  };
}

function parseEvent(body: Buffer): Static<typeof eventSchema> | undefined {
  try {
    const event: unknown = JSON.parse(body.toString('utf8'));
    return eventCheck.Check(event) ? event : undefined;
  } catch {
    // Not JSON: the caller refuses it as malformed.
    return undefined;
  }
}

function toNotification({ type, data }: Static<typeof eventSchema>): Notification | undefined {
  const kind = EVENT_TYPE.exec(type)?.[1] as OperationKind | undefined;
  const answer = toAnswer(data);
  if (kind === undefined || answer === undefined) return undefined;
  return { kind, reference: (data as Static<typeof operationSchema>).reference, answer };
}
