import type { RecordedEvent } from '#kernel/core/event.ts';
import { CHARGE, GATEWAY_REFUND } from '#services/gateway/contract.ts';
import type { OperationCommand, RequestedOperation } from '#services/gateway/decider.ts';
import type { Domain } from './domain.ts';
import type { Pick } from './network.ts';

type Saying = 'succeeded' | 'declined' | 'pending' | 'unknown' | 'refused';

/** What a gateway says of a charge, one thing after another. The last: money was taken by a call that was given up. */
const CHARGES: readonly (readonly Saying[])[] = [
  ['succeeded'],
  ['succeeded', 'succeeded'],
  ['declined'],
  ['refused'],
  ['pending', 'succeeded'],
  ['pending', 'declined'],
  ['unknown', 'succeeded'],
  ['unknown', 'unknown', 'declined'],
  ['refused', 'succeeded'],
];
const REFUNDS = CHARGES.slice(0, -1);

interface Operation {
  readonly target: { readonly aggregate: string; readonly id: string };
  readonly requested: RequestedOperation;
  readonly toSay: Saying[];
}

/** A provider that does all that providers do, and the worker that asks it. */
export function createGateway(domain: Domain, pick: Pick) {
  const operations = new Map<string, Operation>();

  /** Takes a request into the work list; the decider deals with those that are repeated. */
  function remember({ type, data }: RecordedEvent): void {
    if ((data.attempt ?? 1) > 1) return;
    const kind = type === 'gateway.charge.requested' ? 'charge' : 'refund';
    const id = kind === 'charge' ? data.payment_id : data.refund_id;
    const { payment_id, amount_minor, currency, trace_id } = data;
    const asked = { payment_id, amount_minor, currency, trace_id, gateway: 'simulator', requested_at: domain.now() };
    const courses = kind === 'charge' ? CHARGES : REFUNDS;
    const toSay = [...(courses[pick(courses.length)] ?? [])];
    const aggregate = kind === 'charge' ? CHARGE : GATEWAY_REFUND;
    operations.set(id, { target: { aggregate, id }, requested: { kind, id, ...asked }, toSay });
  }

  /** Says the next thing of one of the operations; false when there is nothing left to say. */
  function speak(): boolean {
    const open = [...operations.values()].filter(({ toSay }) => toSay.length > 0);
    const chosen = open[pick(open.length)];
    const saying = chosen?.toSay.shift();
    if (chosen === undefined || saying === undefined) return false;
    domain.tell({ ...chosen.target, command: commandOf(saying, chosen.requested) });
    return true;
  }

  function commandOf(saying: Saying, operation: RequestedOperation): OperationCommand {
    const nextAttemptAt = domain.now() + 1_000;
    if (saying === 'refused') return { type: 'RecordRefusal', operation, reason: 'gateway_error' };
    if (saying === 'unknown')
      return {
        type: 'RecordUnknown',
        operation,
        reason: 'timeout',
        called: true,
        abandoned: false,
        settled: false,
        nextAttemptAt,
      };
    const { amount_minor, currency } = operation;
    const ids = { gateway_payment_id: operation.id, idempotency_key: `${operation.kind}-${operation.id}` };
    const reason = saying === 'declined' ? 'card_declined' : 'success';
    return {
      type: 'RecordAnswer',
      operation,
      answer: { status: saying, reason, ...ids, amount_minor, currency },
      nextAttemptAt,
    };
  }

  return { remember, speak };
}
