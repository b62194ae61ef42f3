import type { Clock } from '#kernel/core/clock.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { type Finding, nameOf } from './finding.ts';
import type { Check } from './monitor.ts';

export interface OwnerSettings {
  /** A saga may be past its deadline for so long before somebody must have looked after it, milliseconds. */
  readonly graceMs: number;
  /** Pause between two looks, milliseconds. */
  readonly everyMs: number;
}

interface Ports {
  /** Payments past a deadline at a moment, the longest overdue first; at most `limit`. */
  dueSagas(now: number, limit: number): Promise<readonly string[]>;
  /** The last event of the payment's stream. */
  lastEvent(paymentId: string): Promise<RecordedEvent | undefined>;
  readonly clock: Clock;
}

/** Sagas that are told of at once; when these have been seen to, others follow. */
export const MAX_SAGAS = 100;

/**
 * Finds sagas that nobody looks after: overdue for longer than the grace, and still so at every look for as long again.
 * Whoever drives sagas moves the deadline; what was down comes back, and gets the grace anew.
 */
export function createOwnerCheck({ graceMs, everyMs }: OwnerSettings, ports: Ports): Check {
  const { clock } = ports;
  /** When each was first seen overdue. */
  let since = new Map<string, number>();
  let lookedAt = Number.NEGATIVE_INFINITY;

  return {
    look: async () => {
      const now = clock.now();
      if (now - lookedAt < everyMs) return [];
      lookedAt = now;
      const due = await ports.dueSagas(now - graceMs, MAX_SAGAS);
      since = new Map(due.map((id) => [id, since.get(id) ?? now]));
      const left = due.filter((id) => now - since.get(id)! >= graceMs);
      return Promise.all(left.map(async (id) => findingOf(id, await ports.lastEvent(id), graceMs)));
    },
    clear: () => {
      since = new Map();
    },
  };
}

/** @param last the last event of the payment's stream */
export function findingOf(id: string, last: RecordedEvent | undefined, graceMs: number): Finding {
  const name = last === undefined ? 'without any event' : `since ${nameOf(last)}`;
  const message = `payment ${id}: its saga is past its deadline by more than ${graceMs} ms and nobody looks after it (${name})`;
  return { invariant: 'has_owner', message, subject: id, ...(last !== undefined && { eventId: last.id }) };
}
