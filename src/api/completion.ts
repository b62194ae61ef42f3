import type { Tail } from '#kernel/bus/tail.ts';
import { toError } from '#kernel/core/errors.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { toTimestamp } from '#kernel/core/timestamp.ts';
import type { Store } from '#kernel/event-store/store.ts';
import type { Log } from '#kernel/observability/log.ts';
import { SAGA_TABLE, type SagaRow } from '#services/payments/projections.ts';
import type { Completion } from '#services/payments/routes.ts';
import type { PurchaseStatus } from '#services/purchases/contract.ts';
import { PURCHASE_TABLE, type PurchaseRow } from '#services/purchases/projections.ts';

export interface CompletionSettings {
  /** Requests that wait at most; beyond, they are answered at once. */
  readonly maxWaiters: number;
  /** How often those are looked up that this process does not see completing, milliseconds. */
  readonly pollMs: number;
}

/** How it is known that something of a kind is completed. */
export interface Completions<C> {
  /** Event types that complete. */
  readonly types: readonly string[];
  /** What is completed by such an event, and how. */
  of(event: RecordedEvent): readonly [id: string, completion: C];
  /** Which of these are completed, as far as the read model has come. */
  find(ids: readonly string[]): Promise<readonly (readonly [id: string, completion: C])[]>;
}

interface Ports {
  readonly tail: Tail;
  readonly log: Log;
}

/** Lets requests wait. */
export interface CompletionWaiter<C> {
  /** Resolves when it is completed, or with undefined after so long (milliseconds). */
  wait(id: string, ms: number): Promise<C | undefined>;
  /** Answers those who wait, as if their time were over. */
  stop(): void;
}

/**
 * Lets requests wait for the end of what they began. What this process commits is known at once; what another process completes,
 * or was completed before, is looked up, all that is waited for in one go.
 */
export function createCompletionWaiter<C>(
  completions: Completions<C>,
  settings: CompletionSettings,
  { tail, log }: Ports,
): CompletionWaiter<C> {
  type Waiter = (completion: C | undefined) => void;
  const types: ReadonlySet<string> = new Set(completions.types);
  const waiting = new Map<string, Set<Waiter>>();
  let waiters = 0;
  let stopped = false;
  let polling: NodeJS.Timeout | undefined;

  const resolve = (id: string, completion: C): void => {
    for (const done of [...(waiting.get(id) ?? [])]) done(completion);
  };

  const unsubscribe = tail.subscribe(({ events }) => {
    if (waiters === 0) return;
    for (const event of events) if (types.has(event.type)) resolve(...completions.of(event));
  });

  const poll = async (): Promise<void> => {
    try {
      for (const found of await completions.find([...waiting.keys()])) resolve(...found);
    } catch (cause) {
      log.debug({ error: toError(cause) }, 'could not look what is completed');
    }
    polling = waiters > 0 ? setTimeout(poll, settings.pollMs) : undefined;
  };

  const add = (id: string, done: Waiter): void => {
    waiters += 1;
    const others = waiting.get(id);
    if (others === undefined) waiting.set(id, new Set([done]));
    else others.add(done);
    polling ??= setTimeout(poll, settings.pollMs);
  };

  const remove = (id: string, done: Waiter): void => {
    waiters -= 1;
    const others = waiting.get(id);
    others?.delete(done);
    if (others?.size === 0) waiting.delete(id);
  };

  return {
    wait: (id, ms) => {
      if (stopped || waiters >= settings.maxWaiters) return Promise.resolve(undefined);
      return new Promise((answer) => {
        const end = (completion: C | undefined): void => {
          clearTimeout(timer);
          remove(id, end);
          answer(completion);
        };
        const timer = setTimeout(end, ms, undefined);
        add(id, end);
      });
    },
    stop: () => {
      stopped = true;
      unsubscribe();
      for (const all of [...waiting.values()]) for (const end of [...all]) end(undefined);
      clearTimeout(polling);
    },
  };
}

/** Payments, from the store of their service. */
export function paymentCompletions(store: Pick<Store, 'loadRows'>): Completions<Completion> {
  return {
    types: ['payments.approved', 'payments.declined', 'payments.failed'],
    of: ({ data }) => [data.id, data as Completion],
    find: async (ids) => {
      const rows = (await store.loadRows(SAGA_TABLE, keysOf(ids))) as readonly SagaRow[];
      return rows.flatMap(({ payment_id: id, status, reason, completed_at }) =>
        reason === null || completed_at === null
          ? []
          : [[id, { status, reason, completed_at: toTimestamp(completed_at) }] as const],
      );
    },
  };
}

/** Purchases, from the store of their service. */
export function purchaseCompletions(store: Pick<Store, 'loadRows'>): Completions<PurchaseStatus> {
  return {
    types: ['purchase.completed', 'purchase.cancelled'],
    of: ({ type, data }) => [data.purchase_id, type === 'purchase.completed' ? 'COMPLETED' : 'CANCELLED'],
    find: async (ids) => {
      const rows = (await store.loadRows(PURCHASE_TABLE, keysOf(ids))) as readonly PurchaseRow[];
      return rows.flatMap(({ purchase_id: id, status, completed_at }) =>
        completed_at === null ? [] : [[id, status] as const],
      );
    },
  };
}

function keysOf(ids: readonly string[]): readonly (readonly [string])[] {
  return ids.map((id) => [id]);
}
