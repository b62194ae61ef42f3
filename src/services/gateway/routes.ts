import { Type } from '@sinclair/typebox';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Clock } from '#kernel/core/clock.ts';
import { RequestError } from '#kernel/core/errors.ts';
import { type IdSource, isUuid } from '#kernel/core/ids.ts';
import type { Log } from '#kernel/observability/log.ts';
import type { CommandResult, Executor, StreamCommand } from '#kernel/processor/execute.ts';
import { isAbout } from './attempt.ts';
import { CHARGE, GATEWAY_REFUND } from './contract.ts';
import type { OperationRow } from './projections.ts';
import { type GatewayProvider, type Notification, type VerifiedWebhook, WEBHOOK_REFUSALS } from './provider.ts';
import type { WorkList } from './queries.ts';

/** `recorded`: it decided a charge or a refund; `ignored`: it told nothing new; the rest were refused. */
export const WEBHOOK_OUTCOMES = ['recorded', 'ignored', 'replayed', ...WEBHOOK_REFUSALS] as const;
export type WebhookOutcome = (typeof WEBHOOK_OUTCOMES)[number];

export interface WebhookPorts {
  readonly executor: Executor;
  readonly workList: Pick<WorkList, 'find'>;
  /** By name, as in the path. */
  readonly providers: ReadonlyMap<string, GatewayProvider>;
  readonly clock: Clock;
  readonly ids: IdSource;
  readonly log: Log;
  /** Told of each webhook, for metrics. */
  readonly onWebhook: (gateway: string, outcome: WebhookOutcome) => void;
}

const MAX_BODY_BYTES = 65_536;

const replySchema = Type.Object({ outcome: Type.Union([Type.Literal('recorded'), Type.Literal('ignored')]) });
const schema = {
  summary: 'Take a webhook of a card gateway',
  tags: ['gateway'],
  params: Type.Object({ gateway: Type.String({ maxLength: 64 }) }),
  response: { 200: replySchema },
  'x-refusals': ['webhook_signature_invalid', 'webhook_replayed', 'invalid_request', 'not_found', 'unavailable'],
};

/**
 * `POST /webhooks/:gateway`: what gateways tell by themselves. The answer comes after the commit, so that a gateway
 * which is told 200 need not tell it again; errors are for the error handler of the server.
 */
export function webhookRoutes(ports: WebhookPorts) {
  return async (app: FastifyInstance): Promise<void> => {
    // The signature covers the bytes as they came, so within this scope no body is parsed.
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: MAX_BODY_BYTES }, (_request, body, done) =>
      done(null, body),
    );
    app.post<{ Params: { gateway: string } }>('/webhooks/:gateway', { schema }, async (request) => ({
      outcome: await takeWebhook(request, ports),
    }));
  };
}

async function takeWebhook(
  request: FastifyRequest<{ Params: { gateway: string } }>,
  ports: WebhookPorts,
): Promise<'recorded' | 'ignored'> {
  const { gateway } = request.params;
  const provider = ports.providers.get(gateway);
  if (provider === undefined)
    throw new RequestError('not_found', `there is no gateway called ${JSON.stringify(gateway)}`);
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  const verified = provider.verifyWebhook(request.headers, body, ports.clock.now());
  if (!verified.ok) {
    ports.onWebhook(gateway, verified.refusal);
    if (verified.refusal === 'malformed')
      throw new RequestError('invalid_request', 'the webhook is not one of this gateway');
    throw new RequestError('webhook_signature_invalid', 'the webhook signature is missing, wrong or stale');
  }
  const outcome = await recordWebhook(gateway, verified.value, ports);
  ports.onWebhook(gateway, outcome);
  if (outcome === 'replayed') throw new RequestError('webhook_replayed', 'this very webhook was received before');
  return outcome;
}

/**
 * A delivery takes effect once: its signature is kept, with what it led to, as long as it would be accepted. A gateway that
 * sends the same news again signs it anew; the decider finds nothing new in it.
 */
export async function recordWebhook(
  gateway: string,
  { delivery, staleAfter, notification }: VerifiedWebhook,
  { executor, workList, ids, log }: Pick<WebhookPorts, 'executor' | 'workList' | 'ids' | 'log'>,
): Promise<'recorded' | 'ignored' | 'replayed'> {
  const operation = notification === undefined ? undefined : await findOperation(gateway, notification, workList, log);
  const known = notification !== undefined && operation !== undefined;
  const request = {
    commands: known ? [commandFor(operation, notification)] : [],
    keys: [{ scope: `webhook:${gateway}`, key: delivery, requestHash: delivery, expiresAt: staleAfter }],
    traceId: operation?.trace_id ?? ids.traceId(),
    correlationId: operation?.payment_id ?? ids.uuid(),
    answer: (results: readonly CommandResult[]) =>
      results.some((result) => result.ok && result.value.events.length > 0),
  };
  try {
    const { answer, replayed } = await executor.execute(request);
    if (replayed) return 'replayed';
    return answer ? 'recorded' : 'ignored';
  } catch (cause) {
    if (cause instanceof RequestError && cause.code === 'idempotency_key_in_progress') return 'replayed';
    throw cause;
  }
}

/** The charge or refund that the news is about; undefined when the platform asked for no such thing. */
async function findOperation(
  gateway: string,
  { kind, reference, answer }: Notification,
  workList: Pick<WorkList, 'find'>,
  log: Log,
): Promise<OperationRow | undefined> {
  const operation = isUuid(reference) ? await workList.find({ id: reference, kind }) : undefined;
  if (operation === undefined || operation.gateway !== gateway) return undefined;
  if (isAbout(answer, operation)) return operation;
  const { id, trace_id, payment_id } = operation;
  log.error(
    { trace_id, payment_id, kind, id },
    'a webhook tells of another amount, currency or key than was asked for; it is ignored',
  );
  return undefined;
}

function commandFor(operation: OperationRow, { kind, answer }: Notification): StreamCommand {
  const command = { type: 'RecordAnswer', operation, answer };
  return { aggregate: kind === 'charge' ? CHARGE : GATEWAY_REFUND, id: operation.id, command };
}
