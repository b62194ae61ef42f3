import type { Lane } from '#kernel/bus/topology.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { type Finding, nameOf } from './finding.ts';

/** An event that can be a cause: its number in the order of the log, its lane, and its effects so far, by type and stream. */
interface Cause {
  readonly order: number;
  readonly lane: string;
  readonly chain: number;
  readonly stream: string;
  readonly effects: string[];
}

/** Which messages of one key took effect, and where, in the order of the log. */
export interface DeliveryFacts {
  /** By event id, the latest last; a bounded number of them. */
  readonly causes: Map<string, Cause>;
  /** How many events were on the bus so far. */
  count: number;
  /** `reader lane`, and the chain or the stream of the cause: the latest cause that took effect. */
  readonly latest: Map<string, number>;
}

/**
 * A wallet's own movements, which nothing follows from, are one process without end: so many causes are remembered. A
 * payment with the most refunds has fewer.
 */
export const MAX_CAUSES = 2000;

export function noDeliveries(): DeliveryFacts {
  return { causes: new Map(), count: 0, latest: new Map() };
}

/**
 * Takes an event into what is known of the deliveries within its process: as the effect of its cause, and as a cause
 * itself. A message leads to at most one event of each type in each stream; a second one shows that it was handled twice.
 */
export function auditDelivery(facts: DeliveryFacts, event: RecordedEvent, lane: Lane): readonly Finding[] {
  const findings = effectOf(facts, event);
  const name = lane(event);
  if (name !== undefined) remember(facts, event, name);
  return findings;
}

function remember(facts: DeliveryFacts, { id, chain, aggregateId }: RecordedEvent, lane: string): void {
  const { causes } = facts;
  causes.set(id, { order: facts.count, lane, chain, stream: aggregateId, effects: [] });
  facts.count += 1;
  if (causes.size > MAX_CAUSES) causes.delete(causes.keys().next().value!);
}

function effectOf({ causes, latest }: DeliveryFacts, event: RecordedEvent): readonly Finding[] {
  const causeId = event.metadata.causationid;
  const cause = causeId === undefined ? undefined : causes.get(causeId);
  if (cause === undefined) return [];
  const subject = event.metadata.correlationid;
  const findings: Finding[] = [];
  const effect = `${event.type} ${event.aggregateId}`;
  if (cause.effects.includes(effect)) {
    const message = `event ${causeId} led to ${event.type} twice: it was handled twice (${nameOf(event)})`;
    findings.push({ invariant: 'handled_once', message, eventId: event.id, subject });
  } else {
    cause.effects.push(effect);
  }
  // Streams of one commit stand in the log in the order of their names, whatever was decided first.
  const reader = `${event.aggregateType} ${event.aggregateId} ${cause.lane}`;
  // Between streams that several processes write there is no order but that of causes: what two of them store at the same
  // moment may be seen either way round.
  const orders = [`${reader} in ${cause.chain}`, `${reader} of ${cause.stream}`];
  const before = Math.max(...orders.map((order) => latest.get(order) ?? -1));
  if (cause.order < before) {
    const message = `${event.aggregateType} handled event ${causeId} after a later one of the same key and topic (${nameOf(event)})`;
    findings.push({ invariant: 'in_order', message, eventId: event.id, subject });
  }
  for (const order of orders) latest.set(order, Math.max(latest.get(order) ?? -1, cause.order));
  return findings;
}
