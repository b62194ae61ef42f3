import type { Journal } from './journal.ts';
import type { Charge, GatewayRecord, Refund } from './record.ts';
import type { Settings } from './settings.ts';
import { createTimers } from './timers.ts';
import { type Behaviour, finalStatus, mustFindToken } from './tokens.ts';
import { operationView } from './views.ts';
import type { WebhookEvent, Webhooks } from './webhooks.ts';

type Operation = Charge | Refund;

/**
 * Decides pending charges and refunds when their delay is over, and tells of it by webhook:
 * added as `pending` → (delay of the token) → outcome recorded → webhooks → whoever waits is answered.
 */
export interface Settlement {
  /** Starts the delay of a pending operation; one with an outcome is left alone. */
  begin(operation: Operation): void;
  /** Resolves when the operation has its outcome, at once when it already has. */
  settled(operation: Operation): Promise<void>;
  /** Starts the delays again that a stop interrupted; what remains of each is waited for. */
  resume(): void;
  /** Forgets every delay; whoever waits is let go with the operation as it is. */
  clear(): void;
}

interface Parts {
  readonly settings: Settings;
  readonly record: GatewayRecord;
  readonly webhooks: Webhooks;
  readonly journal: () => Journal;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export function createSettlement({ settings, record, webhooks, journal, now }: Parts): Settlement {
  const timers = createTimers();
  const waits = new Map<Operation, PromiseWithResolvers<void>>();
  const delays = { at_once: 0, after_slow: settings.slowMs, after_async: settings.asyncMs };

  function begin(operation: Operation): void {
    if (operation.status !== 'pending') return;
    const behaviour = behaviourOf(operation);
    waits.set(operation, Promise.withResolvers());
    const due = operation.createdAt + delays[behaviour.decided];
    timers.after(due - now(), () => void settle(operation, behaviour));
  }

  async function settle(operation: Operation, behaviour: Behaviour): Promise<void> {
    const { status, reason } = finalStatus(behaviour);
    record.settle(operation, status, reason);
    waits.get(operation)?.resolve();
    waits.delete(operation);
    if (await isKept()) announce(operation, behaviour);
  }

  /** A webhook must not tell what a restart could forget. A failed write has been logged by the journal. */
  function isKept(): Promise<boolean> {
    return journal()
      .flushed()
      .then(
        () => true,
        () => false,
      );
  }

  function announce(operation: Operation, { webhooks: plan }: Behaviour): void {
    if (plan === 'none') return;
    const event = eventOf(operation, now());
    webhooks.send(event);
    if (plan === 'twice') webhooks.send(event);
    if (plan === 'out_of_order') {
      const before = { ...operation, status: 'pending', reason: null } as const;
      webhooks.send(eventOf(before, operation.createdAt), settings.lateMs);
    }
  }

  function clear(): void {
    timers.clear();
    for (const wait of waits.values()) wait.resolve();
    waits.clear();
  }

  return {
    begin,
    settled: (operation) => waits.get(operation)?.promise ?? Promise.resolve(),
    resume: () => record.pending().forEach(begin),
    clear,
  };
}

/** How the operation goes, as the token of its charge says. */
export function behaviourOf(operation: Operation): Behaviour {
  if (operation.kind === 'charge') return mustFindToken(operation.token).charge;
  return mustFindToken(operation.charge.token).refund;
}

/** The id names what happened, not the sending of it: it is the same after a restart. */
function eventOf(operation: Operation, at: number): WebhookEvent {
  return {
    id: `evt_${operation.id}_${operation.status}`,
    type: `${operation.kind}.${operation.status}`,
    created_at: new Date(at).toISOString(),
    data: operationView(operation),
  };
}
