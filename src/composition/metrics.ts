import { countFailures } from '#kernel/bus/postgres/error-log.ts';
import { formatAmount } from '#kernel/core/money.ts';
import type { Log } from '#kernel/observability/log.ts';
import type { Metrics } from '#kernel/observability/metrics.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import type { BrokenInvariant } from '#services/metrics/alert.decider.ts';
import { createMetricsService, type MetricsService } from '#services/metrics/index.ts';
import { brokenInvariants } from '#services/metrics/queries.ts';
import { countStuckSagas } from '#services/payments/queries.ts';
import { trialBalance } from '#services/wallets/queries.ts';
import type { Config } from '#src/config.ts';
import { INVARIANTS, type InvariantName } from '#src/invariants/finding.ts';
import type { Database } from './database.ts';
import type { Kernel } from './kernel.ts';
import type { InvariantMonitor } from './monitor.ts';
import type { RunningServices } from './services.ts';

interface Parts {
  readonly config: Config;
  readonly database: Database;
  readonly kernel: Kernel;
  readonly services: RunningServices;
  readonly metrics: Metrics;
  readonly monitor: Pick<InvariantMonitor, 'lag'>;
  readonly log: Log;
}

/** The metrics service, on the parts of this process. */
export function metricsService({ config, database, kernel, services, metrics, monitor, log }: Parts): MetricsService {
  const { tail, backend } = kernel;
  const { clock } = backend;
  const sql = database.pool;
  const settings = { sampleMs: config.sampleMs, invariantMs: config.invariantMs };
  const sources = {
    processors: [...services.processors.values()],
    followers: services.followers,
    monitorLag: () => monitor.lag(),
    requestLatencies: metrics.takeRequestLatencies,
    pool: () => sql.usage(),
    breakers: () => (services.worker === undefined ? [] : [services.worker.status().breaker]),
    failures: () => countFailures(sql),
    stuckSagas: () => countStuckSagas(sql, clock.now()),
    openFindings: () => brokenInvariants(sql),
    brokenSums: () => unbalanced(sql),
    invariants: Object.keys(INVARIANTS),
  };
  return createMetricsService(settings, { registry: metrics.registry, tail, sources, clock, log });
}

async function unbalanced(sql: Sql): Promise<readonly BrokenInvariant[]> {
  const balances = await trialBalance(sql);
  return balances
    .filter(({ differenceMinor }) => differenceMinor !== 0n)
    .map(({ currency, differenceMinor }) => {
      const message = `the ledger is off by ${formatAmount(differenceMinor, currency)} ${currency}`;
      return { invariant: 'balanced' satisfies InvariantName, count: 1, message };
    });
}
