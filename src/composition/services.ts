import { resolve } from 'node:path';
import type { EventDefinition } from '#kernel/core/event.ts';
import type { Log } from '#kernel/observability/log.ts';
import type { Processor } from '#kernel/processor/processor.ts';
import type { ServiceDefinition } from '#kernel/processor/service.ts';
import type { Follower } from '#kernel/projections/follower.ts';
import { catalogService } from '#services/catalog/index.ts';
import { fraudService } from '#services/fraud/index.ts';
import { type WatchedRules, watchRules } from '#services/fraud/rules-file.ts';
import type { CallReport } from '#services/gateway/attempt.ts';
import { gatewayService } from '#services/gateway/index.ts';
import type { GatewayProvider } from '#services/gateway/provider.ts';
import { createSimulatorProvider } from '#services/gateway/providers/simulator.ts';
import { DEFAULT_GATEWAY_SETTINGS, type GatewaySettings } from '#services/gateway/settings.ts';
import { createGatewayWorker, type GatewayWorker } from '#services/gateway/worker.ts';
import { DEFAULT_STOCK_SETTINGS, type StockSettings } from '#services/inventory/decider.ts';
import { inventoryService } from '#services/inventory/index.ts';
import { paymentsService } from '#services/payments/index.ts';
import { DEFAULT_PAYMENT_SETTINGS, type PaymentSettings } from '#services/payments/payment.decider.ts';
import { purchasesService } from '#services/purchases/index.ts';
import { DEFAULT_PURCHASE_SETTINGS, type PurchaseSettings } from '#services/purchases/saga.ts';
import { walletsService } from '#services/wallets/index.ts';
import type { Config, ServiceName } from '#src/config.ts';
import type { Kernel } from './kernel.ts';
import { createSweepers } from './sweepers.ts';

/** Of a process that checks nothing: the rules are for those that do. */
const NO_RULES: WatchedRules = { current: () => ({ threshold: 0, rules: [] }), stop: () => undefined };
/** The services that the API has requests for. */
const TAKE_REQUESTS: readonly ServiceName[] = ['payments', 'wallets', 'gateway', 'catalog', 'inventory', 'purchases'];
const RULES_LOOK_MS = 1000;
const PROJECT = resolve(import.meta.dirname, '../..');

/** What the services are told apart from the configuration. */
export interface ServiceInputs {
  readonly rules: WatchedRules;
  readonly gatewaySettings: GatewaySettings;
  readonly paymentSettings: PaymentSettings;
  readonly stockSettings: StockSettings;
  readonly purchaseSettings: PurchaseSettings;
  readonly provider: GatewayProvider;
}

/** The definitions of every service that is event-sourced, whether this process runs it or not. */
export function serviceDefinitions(inputs: ServiceInputs): ReadonlyMap<ServiceName, ServiceDefinition> {
  return new Map<ServiceName, ServiceDefinition>([
    ['fraud', fraudService({ rules: () => inputs.rules.current() })],
    ['wallets', walletsService({ requestTtlMs: inputs.paymentSettings.debitDeadlineMs })],
    ['gateway', gatewayService(inputs.gatewaySettings)],
    ['payments', paymentsService(inputs.paymentSettings)],
    ['catalog', catalogService],
    ['inventory', inventoryService(inputs.stockSettings)],
    ['purchases', purchasesService(inputs.purchaseSettings)],
  ]);
}

/** Everything that may be on the bus. */
export function catalogOf(definitions: ReadonlyMap<ServiceName, ServiceDefinition>): readonly EventDefinition[] {
  return [...definitions.values()].flatMap((definition) => definition.produces);
}

/** The CloudEvents source of an event type: the service that produces it. */
export function sourceOf(definitions: ReadonlyMap<ServiceName, ServiceDefinition>): (type: string) => string {
  const producers = new Map(
    [...definitions].flatMap(([name, { produces }]) => produces.map(({ type }) => [type, `/caudal/${name}`] as const)),
  );
  return (type) => producers.get(type) ?? '/caudal';
}

/** Reads the fraud rules and settles how the services are configured. */
export async function prepareServices(
  config: Config,
  gatewayUrl: string,
  webhookSecret: string,
  log: Log,
): Promise<ServiceInputs> {
  const rulesLog = {
    info: (message: string) => log.info({ service: 'fraud' }, message),
    error: (message: string) => log.error({ service: 'fraud' }, message),
  };
  return {
    rules: config.services.includes('fraud')
      ? await watchRules(resolve(PROJECT, config.fraudRulesFile), RULES_LOOK_MS, rulesLog)
      : NO_RULES,
    gatewaySettings: {
      ...DEFAULT_GATEWAY_SETTINGS,
      callTimeoutMs: config.gatewayDeadlineMs,
      breakerHalfOpenAfterMs: config.gatewayBreakerOpenMs,
      maxInFlight: config.gatewayConcurrency,
    },
    paymentSettings: {
      ...DEFAULT_PAYMENT_SETTINGS,
      fraudDeadlineMs: config.fraudDeadlineMs,
      debitDeadlineMs: config.debitDeadlineMs,
      gatewayDeadlineMs: config.gatewayDeadlineMs,
    },
    stockSettings: {
      ...DEFAULT_STOCK_SETTINGS,
      reservationTtlMs: config.reservationTtlMs,
      maxReservations: config.maxReservations,
    },
    purchaseSettings: {
      ...DEFAULT_PURCHASE_SETTINGS,
      reserveDeadlineMs: config.reserveDeadlineMs,
      paymentDeadlineMs: config.purchasePaymentDeadlineMs,
    },
    provider: createSimulatorProvider({
      baseUrl: gatewayUrl,
      maxConnections: config.gatewayConcurrency,
      webhookSecret,
    }),
  };
}

/** The services of this process, running. */
export interface RunningServices {
  readonly processors: ReadonlyMap<ServiceName, Processor>;
  /** Of services that other processes run: they take the requests of this process's API. */
  readonly requestsOnly: ReadonlyMap<ServiceName, Processor>;
  readonly followers: readonly Follower[];
  readonly worker: GatewayWorker | undefined;
  start(): Promise<void>;
  /** Ends what begins new work first, then the services, each after what it has in hand. */
  stop(): Promise<void>;
}

interface Parts {
  readonly config: Config;
  /** The kernel on the database of a service. */
  readonly kernelOf: (service: ServiceName) => Kernel;
  readonly inputs: ServiceInputs;
  readonly definitions: ReadonlyMap<ServiceName, ServiceDefinition>;
  /** Told of each call to a card gateway. */
  readonly onGatewayCall: (report: CallReport) => void;
  readonly log: Log;
}

export function runServices(parts: Parts): RunningServices {
  const { config, kernelOf, definitions } = parts;
  const chosen = [...definitions].filter(([name]) => config.services.includes(name));
  let worker: GatewayWorker | undefined;
  const processors = new Map<ServiceName, Processor>();
  const followers: Follower[] = [];
  for (const [name, definition] of chosen) {
    const onCommitted =
      name === 'gateway'
        ? (events: Parameters<GatewayWorker['onCommitted']>[0]) => worker?.onCommitted(events)
        : undefined;
    processors.set(name, kernelOf(name).processor(definition, onCommitted));
    if (definition.projections.length > 0) followers.push(kernelOf(name).follower(definition));
  }
  const others = config.services.includes('api') ? [...definitions].filter(([name]) => !processors.has(name)) : [];
  const requestsOnly = new Map(
    others
      .filter(([name]) => TAKE_REQUESTS.includes(name))
      .map(([name, service]) => [name, kernelOf(name).requests(service)]),
  );
  const all = [...processors.values(), ...requestsOnly.values()];
  const gateway = processors.get('gateway');
  if (gateway !== undefined) worker = gatewayWorker(parts, gateway);
  const sweepers = createSweepers(parts, processors);

  return {
    processors,
    requestsOnly,
    followers,
    get worker() {
      return worker;
    },
    start: async () => {
      for (const processor of all) await processor.start();
      for (const follower of followers) await follower.start();
      worker?.start();
      for (const sweeper of sweepers) sweeper.start();
    },
    stop: async () => {
      await Promise.all(sweepers.map((sweeper) => sweeper.stop()));
      await worker?.stop();
      await Promise.all(all.map((processor) => processor.stop()));
      await Promise.all(followers.map((follower) => follower.stop()));
    },
  };
}

function gatewayWorker({ kernelOf, inputs, onGatewayCall, log }: Parts, executor: Processor): GatewayWorker {
  const { workList, clock, random } = kernelOf('gateway').backend;
  return createGatewayWorker(inputs.gatewaySettings, {
    executor,
    workList,
    provider: inputs.provider,
    clock,
    random,
    log,
    onCall: onGatewayCall,
  });
}
