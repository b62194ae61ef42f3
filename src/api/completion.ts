import type { Tail } from '#kernel/bus/tail.ts';
import { toError } from '#kernel/core/errors.ts';
import { toTimestamp } from '#kernel/core/timestamp.ts';
import type { Store } from '#kernel/event-store/store.ts';
import type { Log } from '#kernel/observability/log.ts';
import { SAGA_TABLE, type SagaRow } from '#services/payments/projections.ts';
import type { Completion, CompletionWaiter } from '#services/payments/routes.ts';

export interface CompletionSettings {
  /** Requests that wait at most; beyond, they are answered at once. */
  readonly maxWaiters: number;
  /** How often payments are looked up that this process does not see completing, milliseconds. */
  readonly pollMs: number;
}

interface Ports {
  readonly tail: Tail;
  readonly log: Log;
  /** Which of these payments are completed. */
  completed(paymentIds: readonly string[]): Promise<readonly (Completion & { readonly id: string })[]>;
}

type Waiter = (completion: Completion | undefined) => void;

const COMPLETIONS: ReadonlySet<string> = new Set(['payments.approved', 'payments.declined', 'payments.failed']);

/** `stop` answers those who wait, as if their time were over. */
export type StoppableWaiter = CompletionWaiter & { stop(): void };

/**
 * Lets requests wait for the end of their payments. What this process commits is known at once; payments that another
 * process completes, or that were completed before, are looked up, all that are waited for in one go.
 */
export function createCompletionWaiter(settings: CompletionSettings, ports: Ports): StoppableWaiter {
  const waiting = new Map<string, Set<Waiter>>();
  let waiters = 0;
  let stopped = false;
  let polling: NodeJS.Timeout | undefined;

  const resolve = (paymentId: string, completion: Completion): void => {
    for (const done of [...(waiting.get(paymentId) ?? [])]) done(completion);
  };

  const unsubscribe = ports.tail.subscribe(({ events }) => {
    if (waiters === 0) return;
    for (const { type, data } of events) if (COMPLETIONS.has(type) && waiting.has(data.id)) resolve(data.id, data);
  });

  const poll = async (): Promise<void> => {
    try {
      for (const { id, ...completion } of await ports.completed([...waiting.keys()])) resolve(id, completion);
    } catch (cause) {
      ports.log.debug({ error: toError(cause) }, 'could not look whether payments are completed');
    }
    polling = waiters > 0 ? setTimeout(poll, settings.pollMs) : undefined;
  };

  const add = (paymentId: string, done: Waiter): void => {
    waiters += 1;
    const others = waiting.get(paymentId);
    if (others === undefined) waiting.set(paymentId, new Set([done]));
    else others.add(done);
    polling ??= setTimeout(poll, settings.pollMs);
  };

  const remove = (paymentId: string, done: Waiter): void => {
    waiters -= 1;
    const others = waiting.get(paymentId);
    others?.delete(done);
    if (others?.size === 0) waiting.delete(paymentId);
  };

  return {
    wait: (paymentId, ms) => {
      if (stopped || waiters >= settings.maxWaiters) return Promise.resolve(undefined);
      return new Promise((answer) => {
        const end = (completion: Completion | undefined): void => {
          clearTimeout(timer);
          remove(paymentId, end);
          answer(completion);
        };
        const timer = setTimeout(end, ms, undefined);
        add(paymentId, end);
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

/** Those of the payments that are completed, as far as the read model has come. */
export async function completedPayments(
  store: Pick<Store, 'loadRows'>,
  paymentIds: readonly string[],
): Promise<readonly (Completion & { readonly id: string })[]> {
  const rows = (await store.loadRows(
    SAGA_TABLE,
    paymentIds.map((id) => [id]),
  )) as readonly SagaRow[];
  return rows.flatMap(({ payment_id: id, status, reason, completed_at }) =>
    reason === null || completed_at === null ? [] : [{ id, status, reason, completed_at: toTimestamp(completed_at) }],
  );
}
