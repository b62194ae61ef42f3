import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Tail } from '#kernel/bus/tail.ts';
import type { Clock } from '#kernel/core/clock.ts';
import { toError } from '#kernel/core/errors.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { uuidTime } from '#kernel/core/ids.ts';
import type { Log } from '#kernel/observability/log.ts';
import { ALERT_NAMES, type Alert, alertsFor } from './alert.decider.ts';
import { createSampler, type MetricSources } from './sampler.ts';

export interface MetricsSettings {
  /** How often the process looks at itself, milliseconds. */
  readonly sampleMs: number;
  /** How often what must always hold is checked, milliseconds; it costs a look at every balance. */
  readonly invariantMs: number;
}

export interface MetricsPorts {
  readonly registry: Registry;
  /** Of the stores that this process writes. */
  readonly tails: readonly Tail[];
  readonly sources: MetricSources;
  readonly clock: Clock;
  readonly log: Log;
}

/** The metrics service: what happens to payments, how the process is, and what somebody should look at. */
export interface MetricsService {
  start(): void;
  /** Resolves when no look is under way any more. */
  stop(): Promise<void>;
  /** What the last look gave rise to. */
  readonly alerts: readonly Alert[];
}

export function createMetricsService(settings: MetricsSettings, ports: MetricsPorts): MetricsService {
  const { registry, tails, log } = ports;
  const count = countBusiness(registry, ports.clock);
  const sampler = createSampler(settings.invariantMs, ports);
  const show = showAlerts(registry, log);
  let alerts: readonly Alert[] = [];
  let ends: readonly (() => void)[] = [];
  let timer: NodeJS.Timeout | undefined;
  let looking: Promise<void> = Promise.resolve();
  let stopped = false;

  const look = async (): Promise<void> => {
    try {
      const next = alertsFor(await sampler.take());
      show(next, alerts);
      alerts = next;
    } catch (cause) {
      log.warn(
        { service: 'metrics', error: toError(cause) },
        'could not look at the state of the process; the next look follows',
      );
    }
    if (!stopped) timer = setTimeout(lookAgain, settings.sampleMs);
  };
  const lookAgain = (): void => {
    looking = look();
  };

  return {
    start: () => {
      ends = tails.map((tail) => tail.subscribe(({ events }) => count(events)));
      timer = setTimeout(lookAgain, settings.sampleMs);
    },
    stop: async () => {
      stopped = true;
      clearTimeout(timer);
      for (const end of ends) end();
      await looking;
    },
    get alerts() {
      return alerts;
    },
  };
}

/** `caudal_alert` is 1 while an alert lasts; it is logged when it begins and when it ends. */
function showAlerts(registry: Registry, log: Log): (next: readonly Alert[], before: readonly Alert[]) => void {
  const gauge = new Gauge({
    name: 'caudal_alert',
    help: '1 while somebody should look: see the log for what and why',
    labelNames: ['name'],
    registers: [registry],
  });
  for (const name of ALERT_NAMES) gauge.set({ name }, 0);
  return (next, before) => {
    for (const { name } of before) gauge.set({ name }, 0);
    for (const { name, severity, message } of next) {
      gauge.set({ name }, 1);
      if (before.some((alert) => alert.name === name && alert.severity === severity)) continue;
      log[severity === 'critical' ? 'error' : 'warn']({ service: 'metrics', alert: name, severity }, message);
    }
    for (const { name } of before) {
      if (!next.some((alert) => alert.name === name))
        log.info({ service: 'metrics', alert: name }, 'the alert is over');
    }
  };
}

/** Event type → its counter. */
const COUNTED: Readonly<Record<string, readonly [name: string, help: string]>> = {
  'payments.created': ['payment_created_total', 'payments accepted'],
  'payments.approved': ['payment_approved_total', 'payments approved'],
  'payments.declined': ['payment_declined_total', 'payments declined: fraud, funds or issuer'],
  'payments.failed': ['payment_failed_total', 'payments given up for a technical reason'],
  'payments.refund.requested': ['payment_refund_requested_total', 'refunds accepted'],
  'payments.refunded': ['payment_refunded_total', 'refunds made'],
  'payments.refund.failed': ['payment_refund_failed_total', 'refunds that could not be made'],
  'wallet.debit.requested': ['wallet_debit_requested_total', 'debits asked for by payments'],
  'wallet.debited': ['wallet_debit_approved_total', 'debits of wallets'],
  'wallet.debit.declined': ['wallet_debit_declined_total', 'debits of payments declined'],
  'gateway.charge.requested': ['gateway_charge_requested_total', 'charges asked for by payments'],
};

/** The events that end a payment; each says which, how it was paid, and how it ended. */
const ENDINGS = new Set(['payments.approved', 'payments.declined', 'payments.failed']);

const SAGA_SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 600];
const EFFECT_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30];

/** Counts what this process makes durable. Called with every batch, so it does little for each event. */
function countBusiness(registry: Registry, clock: Clock): (events: readonly RecordedEvent[]) => void {
  const registers = [registry];
  const counters = new Map(
    Object.entries(COUNTED).map(([type, [name, help]]) => [type, new Counter({ name, help, registers })]),
  );
  const sagas = new Histogram({
    name: 'saga_duration_seconds',
    help: 'from the creation of a payment to its final status',
    labelNames: ['method', 'status'],
    buckets: SAGA_SECONDS,
    registers,
  });
  const effects = new Histogram({
    name: 'event_to_effect_seconds',
    help: 'from an event to the commit of what it led to; the first event of each batch',
    labelNames: ['aggregate'],
    buckets: EFFECT_SECONDS,
    registers,
  });
  return (events) => {
    const byType = new Map<string, number>();
    for (const { type, data } of events) {
      byType.set(type, (byType.get(type) ?? 0) + 1);
      if (ENDINGS.has(type)) sagas.observe({ method: data.method, status: data.status }, secondsSince(data.id, clock));
    }
    for (const [type, n] of byType) counters.get(type)?.inc(n);
    const [first] = events;
    const cause = first?.metadata.causationid;
    if (cause !== undefined && uuidTime(cause) !== undefined) {
      effects.observe({ aggregate: first!.aggregateType }, secondsSince(cause, clock));
    }
  };
}

/** Since a UUIDv7 was made; 0 where clocks disagree. */
function secondsSince(id: string, clock: Clock): number {
  return Math.max(0, clock.now() - (uuidTime(id) ?? clock.now())) / 1000;
}
