import { DEFAULT_GATEWAY_SETTINGS, type GatewaySettings } from '#services/gateway/settings.ts';
import { DEFAULT_STOCK_SETTINGS, type StockSettings } from '#services/inventory/decider.ts';
import { DEFAULT_PAYMENT_SETTINGS, type PaymentSettings } from '#services/payments/payment.decider.ts';
import { DEFAULT_PURCHASE_SETTINGS, type PurchaseSettings } from '#services/purchases/saga.ts';
import { type Config, readConfig, type ServiceName } from '#src/config.ts';
import { TOPOLOGIES } from '#src/topologies.ts';
import { createRandom, type Random } from '../support/random.ts';
import { seedOf } from './faults.ts';

/** How the platform of one simulation is laid out; by its seed, so that every seed has other limits to run into. */
export interface Layout {
  /** The services of each process. */
  readonly processes: readonly (readonly ServiceName[])[];
  readonly config: Partial<Config> & Pick<Config, 'topology'>;
  readonly paymentSettings: PaymentSettings;
  readonly gatewaySettings: GatewaySettings;
  readonly stockSettings: StockSettings;
  readonly purchaseSettings: PurchaseSettings;
}

const ALL: readonly ServiceName[] = ['payments', 'fraud', 'wallets', 'gateway', 'inventory', 'purchases'];

/** Waits are shorter than those of production, in proportion: an hour of virtual time costs real time too. */
const PAYMENT_SETTINGS: PaymentSettings = { ...DEFAULT_PAYMENT_SETTINGS, gatewayDeadlineMs: 10_000, maxWaitMs: 30_000 };
/** Some payments come after what was kept for them has expired. */
const PURCHASE_SETTINGS: PurchaseSettings = {
  ...DEFAULT_PURCHASE_SETTINGS,
  reserveDeadlineMs: 10_000,
  paymentDeadlineMs: 40_000,
  stepDeadlineMs: 5_000,
  maxWaitMs: 30_000,
};
const GATEWAY_SETTINGS: GatewaySettings = {
  ...DEFAULT_GATEWAY_SETTINGS,
  giveUpAfterMs: 90_000,
  settleMs: 10_000,
  retry: { ...DEFAULT_GATEWAY_SETTINGS.retry, initialMs: 500, maxMs: 20_000 },
  pendingRetry: { ...DEFAULT_GATEWAY_SETTINGS.pendingRetry, initialMs: 1_500, maxMs: 20_000 },
  leaseMs: 2_500,
  callTimeoutMs: 5_000,
  breakerHalfOpenAfterMs: 5_000,
};

export function chooseLayout(seed: number): Layout {
  const random = createRandom(seedOf(seed, 'layout'));
  const [heartbeatMs, leaseMs] = random.pick([
    [200, 1_000],
    [1_000, 5_000],
  ]);
  const config = {
    topology: createRandom(seedOf(seed, 'topology')).pick(TOPOLOGIES).name,
    heartbeatMs,
    leaseMs,
    maxBatchMessages: random.pick([10, 100, 1000]),
    maxBatchRequests: random.pick([10, 50, 500]),
    // Few enough for the last one to be answered before its client gives up.
    maxQueuedRequests: random.pick([100, 1000]),
    minBatchAhead: random.pick([1, 2, 8]),
    maxInbox: random.pick([50, 500, 5000]),
    fetchSize: random.pick([30, 200, 1000]),
    maxKnownRequests: random.pick([2, 1000]),
    maxCachedStreams: random.pick([2, 50, 1000]),
    maxCachedRows: random.pick([2, 50, 1000]),
    snapshotEvery: random.pick([2, 10, 100]),
    maxWaitingRetries: random.pick([5, 1000]),
    projectionMaxInbox: random.pick([50, 20_000]),
  };
  const processes = chooseProcesses(random);
  const gatewaySettings = { ...GATEWAY_SETTINGS, maxCalls: random.pick([1, 2, 4]) };
  const stockSettings = {
    ...DEFAULT_STOCK_SETTINGS,
    reservationTtlMs: random.pick([2_000, 8_000, 60_000]),
    maxReservations: random.pick([3, 10_000]),
  };
  return {
    processes,
    config,
    paymentSettings: PAYMENT_SETTINGS,
    gatewaySettings,
    stockSettings,
    purchaseSettings: PURCHASE_SETTINGS,
  };
}

function chooseProcesses(random: Random): readonly (readonly ServiceName[])[] {
  const choices: readonly (readonly (readonly ServiceName[])[])[] = [
    // Twice: batches are decided ahead only where a process is alone.
    [ALL],
    [ALL],
    [ALL, ALL],
    [ALL, ALL, ALL],
    ALL.map((name) => [name]),
    [
      ['payments', 'gateway', 'purchases'],
      ['wallets', 'fraud', 'inventory'],
      ['payments', 'wallets', 'inventory'],
      ['gateway', 'purchases'],
    ],
  ];
  return random.pick(choices);
}

/** The settings of one process. */
export function configOf(layout: Layout, services: readonly ServiceName[], instance: string): Config {
  return readConfig({}, { ...layout.config, services, instance });
}
