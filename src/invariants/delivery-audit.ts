import type { Topology } from '#kernel/bus/topology.ts';
import { placeOf } from '#kernel/bus/topology.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import type { Finding } from './finding.ts';

/** Which messages of one key took effect, and where, in the order of the log. */
export interface DeliveryFacts {
  /** Events that can be a cause, by id: their number in the order of the log, and their topic. */
  readonly causes: Map<string, { readonly order: number; readonly topic: string }>;
  /** `cause type-of-effect`: the effects seen. */
  readonly effects: Set<string>;
  /** `stream topic`: the latest cause that took effect. */
  readonly latest: Map<string, number>;
}

export function noDeliveries(): DeliveryFacts {
  return { causes: new Map(), effects: new Set(), latest: new Map() };
}

/**
 * Takes an event into what is known of the deliveries within its process: as the effect of its cause, and as a cause
 * itself. A message leads to at most one event of each type; a second one shows that it was handled twice.
 */
export function auditDelivery(facts: DeliveryFacts, event: RecordedEvent, topology: Topology): readonly Finding[] {
  const findings = effectOf(facts, event);
  const place = placeOf(topology, event);
  if (place !== undefined) facts.causes.set(event.id, { order: facts.causes.size, topic: place.topic });
  return findings;
}

function effectOf({ causes, effects, latest }: DeliveryFacts, event: RecordedEvent): readonly Finding[] {
  const causeId = event.metadata.causationid;
  const cause = causeId === undefined ? undefined : causes.get(causeId);
  if (cause === undefined) return [];
  const subject = event.metadata.correlationid;
  const findings: Finding[] = [];
  const effect = `${causeId} ${event.type}`;
  if (effects.has(effect)) {
    const message = `event ${causeId} led to ${event.type} twice: it was handled twice (event ${event.id})`;
    findings.push({ invariant: 'handled_once', message, eventId: event.id, subject });
  }
  effects.add(effect);
  // Streams of one commit stand in the log in the order of their names, whatever was decided first.
  const reader = `${event.aggregateType} ${event.aggregateId} ${cause.topic}`;
  const before = latest.get(reader) ?? -1;
  if (cause.order < before) {
    const message = `${event.aggregateType} handled event ${causeId} after a later one of the same key and topic (event ${event.id})`;
    findings.push({ invariant: 'in_order', message, eventId: event.id, subject });
  }
  latest.set(reader, Math.max(before, cause.order));
  return findings;
}
