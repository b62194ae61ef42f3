import { countFailures } from '#kernel/bus/postgres/error-log.ts';
import { formatAmount } from '#kernel/core/money.ts';
import type { Log } from '#kernel/observability/log.ts';
import type { Metrics } from '#kernel/observability/metrics.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import type { BrokenInvariant } from '#services/metrics/alert.decider.ts';
import { createMetricsService, type MetricsService } from '#services/metrics/index.ts';
import { brokenInvariants } from '#services/metrics/queries.ts';
import type { MetricSources } from '#services/metrics/sampler.ts';
import { countStuckSagas } from '#services/payments/queries.ts';
import { countStuckPurchases } from '#services/purchases/queries.ts';
import { trialBalance } from '#services/wallets/queries.ts';
import type { Config, ServiceName } from '#src/config.ts';
import { INVARIANTS, type InvariantName } from '#src/invariants/finding.ts';
import type { Home, Homes } from './homes.ts';
import type { InvariantMonitor } from './monitor.ts';
import type { RunningServices } from './services.ts';

interface Parts {
  readonly config: Config;
  readonly homes: Homes;
  readonly services: RunningServices;
  readonly metrics: Metrics;
  /** Of a process that looks at the whole platform, not only at itself. */
  readonly monitor: Pick<InvariantMonitor, 'lag'> | undefined;
  readonly log: Log;
}

/** What a process sees that is not asked to look at the whole platform: nothing, where it would only repeat what another says. */
const NOT_ASKED: Pick<MetricSources, WholePlatform> = {
  monitorLag: async () => 0,
  failures: async () => [],
  stuckSagas: async () => 0,
  openFindings: async () => [],
  brokenSums: async () => [],
};
type WholePlatform = 'monitorLag' | 'failures' | 'stuckSagas' | 'openFindings' | 'brokenSums';

/** The metrics of this process; where it runs the service of that name, those of the whole platform too. */
export function metricsService({ config, homes, services, metrics, monitor, log }: Parts): MetricsService {
  const { clock } = homes.all[0]!.kernel.backend;
  const sqlOf = (service: ServiceName): Sql => homes.of(service).database.pool;
  const settings = { sampleMs: config.sampleMs, invariantMs: config.invariantMs };
  const platform = monitor && {
    monitorLag: () => monitor.lag(),
    failures: async () => (await Promise.all(homes.all.map(({ database }) => countFailures(database.pool)))).flat(),
    stuckSagas: async () => {
      const [payments, purchases] = await Promise.all([
        countStuckSagas(sqlOf('payments'), clock.now()),
        countStuckPurchases(sqlOf('purchases'), clock.now()),
      ]);
      return payments + purchases;
    },
    openFindings: () => brokenInvariants(sqlOf('metrics')),
    brokenSums: () => unbalanced(sqlOf('wallets')),
  };
  const sources = {
    processors: [...services.processors.values(), ...services.requestsOnly.values()],
    followers: [...services.followers, ...homes.all.flatMap(relayOf)],
    requestLatencies: metrics.takeRequestLatencies,
    pool: () => homes.all.map(({ database }) => database.pool.usage()).reduce(fuller),
    breakers: () => (services.worker === undefined ? [] : [services.worker.status().breaker]),
    ...(platform ?? NOT_ASKED),
    invariants: Object.keys(INVARIANTS),
  };
  const tails = homes.all.map(({ kernel }) => kernel.tail);
  return createMetricsService(settings, { registry: metrics.registry, tails, sources, clock, log });
}

/** With a name of its own where there are several. */
function relayOf({ name, kernel: { relay } }: Home): MetricSources['followers'] {
  if (relay === undefined) return [];
  const own = {
    name: name === '' ? relay.name : `${relay.name}-${name}`,
    lag: () => relay.lag(),
    get lastDelayMs() {
      return relay.lastDelayMs;
    },
  };
  return [own];
}

type PoolUsage = ReturnType<MetricSources['pool']>;

function fuller(one: PoolUsage, other: PoolUsage): PoolUsage {
  const share = ({ total, idle, max }: PoolUsage): number => (total - idle) / max;
  return share(other) > share(one) ? other : one;
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
