import type { FastifyPluginAsync } from 'fastify';
import { productRoutes } from '#services/catalog/routes.ts';
import { webhookRoutes } from '#services/gateway/routes.ts';
import { inventoryRoutes } from '#services/inventory/routes.ts';
import { refundRoutes } from '#services/payments/refund.routes.ts';
import { paymentRoutes } from '#services/payments/routes.ts';
import { purchaseRoutes } from '#services/purchases/routes.ts';
import { ledgerRoutes, walletRoutes } from '#services/wallets/routes.ts';
import {
  type CompletionWaiter,
  createCompletionWaiter,
  paymentCompletions,
  purchaseCompletions,
} from './completion.ts';
import type { ApiContext } from './context.ts';
import { createRateLimit } from './rate-limit.ts';
import { configRoutes } from './routes/config.ts';
import { dlqRoutes } from './routes/dlq.ts';
import { dlqTopicRoutes } from './routes/dlq-topics.ts';
import { ratesRoutes } from './routes/rates.ts';
import { sagaRoutes } from './routes/sagas.ts';
import { timelineRoutes } from './routes/timeline.ts';

/** The routes of a process, by the services that it runs. */
export interface ApiRoutes {
  /** Everything, below the base path. */
  readonly all: readonly FastifyPluginAsync[];
  /** What answers without the base path too. */
  readonly withoutBase: readonly FastifyPluginAsync[];
  /** Lets requests that wait be answered now. */
  stop(): void;
}

const COMPLETION_POLL_MS = 100;

export function apiRoutes(context: ApiContext): ApiRoutes {
  const { settings, clock, ids, log, tokenRequired } = context;
  const waiters: Pick<CompletionWaiter<unknown>, 'stop'>[] = [];
  const waiterSettings = { maxWaiters: settings.maxWaiters, pollMs: COMPLETION_POLL_MS };
  const withoutBase: FastifyPluginAsync[] = [];
  const replays = createRateLimit(settings.dlqReplaysPerSecond, clock);
  const baseOnly: FastifyPluginAsync[] = [
    configRoutes(settings),
    ratesRoutes(context.rates),
    dlqRoutes(context, replays),
    dlqTopicRoutes(context, replays),
  ];
  if (context.payments !== undefined) {
    const { executor, store, sql, tail } = context.payments;
    const completion = createCompletionWaiter(paymentCompletions(store), waiterSettings, { tail, log });
    waiters.push(completion);
    withoutBase.push(
      paymentRoutes({ executor, store, sql, completion, clock, ids, tokenRequired, ...settings }),
      refundRoutes({ executor, sql, clock, ids, ...settings }),
    );
    if (context.streams !== undefined) withoutBase.push(timelineRoutes(context, context.streams));
    baseOnly.push(sagaRoutes(context, context.payments));
  }
  if (context.wallets !== undefined) {
    const ports = { ...context.wallets, clock, ...settings };
    withoutBase.push(walletRoutes(ports));
    baseOnly.push(ledgerRoutes(ports));
  }
  if (context.catalog !== undefined) baseOnly.push(productRoutes({ ...context.catalog, clock, ...settings }));
  if (context.inventory !== undefined) baseOnly.push(inventoryRoutes({ ...context.inventory, clock, ...settings }));
  if (context.purchases !== undefined) {
    const { executor, store, sql, tail } = context.purchases;
    const completion = createCompletionWaiter(purchaseCompletions(store), waiterSettings, { tail, log });
    waiters.push(completion);
    baseOnly.push(purchaseRoutes({ executor, sql, completion, clock, ids, tokenRequired, ...settings }));
  }
  if (context.webhooks !== undefined) baseOnly.push(webhookRoutes({ ...context.webhooks, clock, ids, log }));
  const stop = (): void => {
    for (const waiter of waiters) waiter.stop();
  };
  return { all: [...withoutBase, ...baseOnly], withoutBase, stop };
}
