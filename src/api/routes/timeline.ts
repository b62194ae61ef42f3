import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { type Static, Type } from '@sinclair/typebox';
import type { DeadLetter } from '#kernel/bus/postgres/error-log.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { formatAmount, toMajor } from '#kernel/core/money.ts';
import { oneOf } from '#kernel/core/schemas.ts';
import { toTimestamp } from '#kernel/core/timestamp.ts';
import { idParams, uuidParam } from '#kernel/http/input.ts';
import { pageSchema, readOperation } from '#kernel/http/operation.ts';
import { PAYMENT } from '#services/payments/contract.ts';
import type { PaymentEvent, PaymentSettings } from '#services/payments/payment.decider.ts';
import { evolveProgress, NO_PROGRESS, type SagaProgress } from '#services/payments/saga.ts';
import { postings } from '#services/wallets/ledger.ts';
import { eventsOfPayment } from '#src/payment-events.ts';
import type { ApiContext } from '../context.ts';
import { createDeadLetters } from '../dead-letters.ts';
import { operatorIn } from '../operator.ts';

const entrySchema = Type.Object({
  at: Type.String(),
  kind: oneOf(['event', 'saga', 'gateway', 'posting', 'operator']),
  summary: Type.String({ description: 'one line for people' }),
  event_id: Type.Optional(Type.String({ description: 'the event that it is, or comes from' })),
  type: Type.Optional(Type.String()),
  stream: Type.Optional(Type.String()),
  position: Type.Optional(Type.Integer({ description: 'in the stream' })),
  causation_id: Type.Optional(Type.String({ description: 'the event that led to it' })),
  trace_id: Type.Optional(Type.String()),
  data: Type.Optional(Type.Unknown({ description: 'the payload of the event' })),
  operator: Type.Optional(Type.String()),
  postings: Type.Optional(
    Type.Array(
      Type.Object({
        account: Type.String(),
        amount: Type.Number(),
        amount_minor: Type.Integer(),
        currency: Type.String(),
      }),
    ),
  ),
});
type Entry = Static<typeof entrySchema>;

const operation = readOperation({
  tag: 'payments',
  summary: 'Everything that happened to a payment, a cause before its effect',
  params: idParams,
  answers: { 200: pageSchema(entrySchema) },
  refusals: ['invalid_id', 'payment_not_found'],
});

/** `/payments/:id/timeline`: events of every service, steps of the saga, postings and actions of operators. */
export function timelineRoutes(
  { databases, paymentSettings }: ApiContext,
  streams: NonNullable<ApiContext['streams']>,
): FastifyPluginAsyncTypebox {
  const deadLetters = createDeadLetters(databases);
  return async (app) => {
    app.get('/payments/:id/timeline', { schema: operation }, async (request) => {
      const events = await eventsOfPayment(streams, uuidParam(request.params.id));
      const settled = await deadLetters.settled(events.map((event) => event.id));
      return { data: toEntries(events, settled, paymentSettings), next_cursor: null };
    });
  };
}

function toEntries(
  events: readonly RecordedEvent[],
  settled: readonly DeadLetter[],
  settings: PaymentSettings,
): Entry[] {
  const entries: Entry[] = [];
  let progress = NO_PROGRESS;
  for (const event of events) {
    const operator = operatorIn(event.metadata.causationid);
    if (operator !== undefined) entries.push(operatorEntry(event.time, operator, `asked for ${event.type}`, event.id));
    entries.push(eventEntry(event));
    const next =
      event.aggregateType === PAYMENT
        ? evolveProgress(progress, event as RecordedEvent & PaymentEvent, settings)
        : progress;
    if (next !== progress) entries.push(sagaEntry(event, progress, next));
    progress = next;
    entries.push(...postingEntries(event));
  }
  for (const letter of settled) insertByTime(entries, deadLetterEntry(letter));
  return entries;
}

function eventEntry({
  id,
  type,
  time,
  aggregateType,
  aggregateId,
  streamPosition,
  metadata,
  data,
}: RecordedEvent): Entry {
  // Card tokens are for the gateway alone.
  const { payment_token: _token, ...shown } = data as Record<string, unknown>;
  return {
    at: toTimestamp(time),
    kind: type.startsWith('gateway.') ? 'gateway' : 'event',
    summary: [type, data.status, data.reason ?? data.error].filter((part) => part !== undefined).join(' '),
    event_id: id,
    type,
    stream: `${aggregateType}/${aggregateId}`,
    position: streamPosition,
    ...(metadata.causationid !== undefined && { causation_id: metadata.causationid }),
    trace_id: metadata.traceparent.slice(3, 35),
    data: shown,
  };
}

function sagaEntry({ id, time }: RecordedEvent, before: SagaProgress, after: SagaProgress): Entry {
  const attempt = after.attempt > 1 ? ` (attempt ${after.attempt})` : '';
  const stuck = after.stuckReason === null ? '' : `: ${after.stuckReason}`;
  return {
    at: toTimestamp(time),
    kind: 'saga',
    summary: `${before.state} → ${after.state}${attempt}${stuck}`,
    event_id: id,
  };
}

function postingEntries(event: RecordedEvent): readonly Entry[] {
  const lines = postings(event);
  if (lines.length === 0) return [];
  const summary = lines
    .map(({ account, currency, amountMinor }) => `${account} ${formatAmount(amountMinor, currency)} ${currency}`)
    .join(', ');
  const shown = lines.map(({ account, currency, amountMinor }) => {
    return { account, amount: toMajor(amountMinor, currency), amount_minor: amountMinor, currency };
  });
  return [{ at: toTimestamp(event.time), kind: 'posting', summary, event_id: event.id, postings: shown }];
}

function operatorEntry(time: number, operator: string, what: string, eventId: string): Entry {
  return { at: toTimestamp(time), kind: 'operator', summary: `${operator} ${what}`, operator, event_id: eventId };
}

function deadLetterEntry({ resolved_at, resolved_by, status, consumer, event_id, event }: DeadLetter): Entry {
  const what = status === 'discarded' ? 'discarded' : 'replayed';
  return operatorEntry(
    resolved_at!,
    resolved_by!,
    `${what} ${event.type}, which ${consumer} could not handle`,
    event_id,
  );
}

function insertByTime(entries: Entry[], entry: Entry): void {
  const after = entries.findIndex((other) => other.at > entry.at);
  entries.splice(after < 0 ? entries.length : after, 0, entry);
}
