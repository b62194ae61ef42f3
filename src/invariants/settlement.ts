import type { Clock } from '#kernel/core/clock.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { PAYMENT } from '#services/payments/contract.ts';
import { DEFAULT_PAYMENT_SETTINGS, type PaymentEvent } from '#services/payments/payment.decider.ts';
import { evolveProgress, NO_PROGRESS } from '#services/payments/saga.ts';
import { type Auditor, paymentOf } from './auditor.ts';
import { type Finding, nameOf } from './finding.ts';
import type { Check } from './monitor.ts';
import { auditAtRest, auditPayment, isUnsettled, unknownPayment } from './payment-audit.ts';

/** What the payments service has done so far. */
export interface Handled {
  /** False for a message that is still to come to it, that waits to be tried again, or for an operator. */
  includes(event: RecordedEvent): boolean;
}

export interface SettlementSettings {
  /** Money may be elsewhere for so long after the end of a payment, milliseconds. */
  readonly graceMs: number;
  /** Payments that are read again at one look. */
  readonly maxLooks: number;
}

interface Ports {
  readonly auditor: Pick<Auditor, 'payment'>;
  /** Every event of a payment, whatever stream it stands in, a cause before its effect; none when there is no such payment. */
  readonly paymentEvents: (id: string) => Promise<readonly RecordedEvent[]>;
  readonly handled: () => Promise<Handled>;
  readonly clock: Clock;
}

/** Payments that are looked at again; of more than these the rest is left to `caudal verify`. */
const MAX_SUSPECTS = 10_000;

/**
 * Finds payments that are over while their money is not where it belongs: declined and taken, refunded and kept. That is
 * so for a moment in many a good payment; what is still so after the grace, with no step of the saga under way and
 * nothing left to handle, stays so.
 */
export function createSettlementCheck(
  { graceMs, maxLooks }: SettlementSettings,
  { auditor, paymentEvents, handled, clock }: Ports,
): Check {
  /** Payments, and since when. */
  let suspects = new Map<string, number>();

  const note = (events: readonly RecordedEvent[]): void => {
    for (const id of new Set(events.map(paymentOf))) {
      const facts = id === undefined ? undefined : auditor.payment(id);
      if (facts === undefined) continue;
      if (!isUnsettled(facts)) suspects.delete(facts.id);
      else if (!suspects.has(facts.id) && suspects.size < MAX_SUSPECTS) suspects.set(facts.id, clock.now());
    }
  };

  return {
    look: async (events) => {
      note(events);
      const now = clock.now();
      const due = [...suspects].filter(([, since]) => now - since >= graceMs).slice(0, maxLooks);
      if (due.length === 0) return [];
      const done = await handled();
      const findings: Finding[] = [];
      for (const [id] of due) {
        const outcome = judge(id, await paymentEvents(id), done);
        suspects.delete(id);
        if (outcome === 'under way') suspects.set(id, now);
        else findings.push(...outcome);
      }
      return findings;
    },
    clear: () => {
      suspects = new Map();
    },
  };
}

function judge(id: string, events: readonly RecordedEvent[], done: Handled): readonly Finding[] | 'under way' {
  const last = events.at(-1);
  if (last === undefined || !isOver(events, done)) return 'under way';
  const facts = unknownPayment(id);
  for (const event of events) auditPayment(facts, event);
  return auditAtRest(facts).map((finding) => ({
    ...finding,
    message: `${finding.message} (the last is ${nameOf(last)})`,
    eventId: last.id,
  }));
}

/** Whether nobody has anything to do about the payment any more, as far as the log tells. */
function isOver(events: readonly RecordedEvent[], done: Handled): boolean {
  if (!events.every((event) => done.includes(event))) return false;
  const own = events.filter(({ aggregateType }) => aggregateType === PAYMENT) as (RecordedEvent & PaymentEvent)[];
  // Whether there is a deadline does not depend on how long they are.
  const progress = own.reduce((before, event) => evolveProgress(before, event, DEFAULT_PAYMENT_SETTINGS), NO_PROGRESS);
  return progress.deadlineAt === null;
}
