import { checkBooks, countWindow, PAYMENTS_MADE } from '../harness/books.ts';
import { measureLimit } from '../harness/limit.ts';
import { startLoad } from '../harness/load.ts';
import { type BenchServer, withBenchServer } from '../harness/server.ts';
import type { BenchBus } from '../harness/shape.ts';
import { untilShared } from '../harness/shares.ts';
import { type Versions, versions } from '../harness/versions.ts';
import { CURRENCY, customersOf, openWallets } from '../harness/wallets.ts';
import {
  type MeasuredWindow,
  measureWindow,
  type OnPhase,
  type Usages,
  untilFilled,
  untilFinished,
} from '../harness/window.ts';
import type { Percentiles } from '../load/histogram.ts';
import type { PaymentPlan } from '../load/protocol.ts';

export interface PaymentsOptions {
  /** The load runs so long before it is measured, seconds. */
  readonly warmUp: number;
  readonly bus: BenchBus;
  /** See `ServerOptions`. */
  readonly instances?: number;
  readonly seconds: number;
  readonly connections: number;
  readonly method: PaymentPlan['method'];
  /** Every so many-th payment is answered with its final status only. */
  readonly sampleEvery: number;
  /** The share of payments that go to one wallet, 0 to 1. */
  readonly hot: number;
  readonly wallets: number;
  /** Payments are made until the store holds so many events, before anything is measured. */
  readonly preloadEvents: number;
  readonly profile?: string;
  readonly onPhase: OnPhase;
}

export interface PaymentsResult extends Versions {
  readonly payments_per_second: number;
  readonly errors: number;
  readonly post_ms: Percentiles;
  readonly completion_ms: Percentiles;
  readonly events_per_second: number;
  readonly limit_events_per_second: number;
  readonly ratio_to_limit: number;
  readonly ledger_balanced: boolean;
  readonly rss_mb: number | undefined;
  /** Cores in use. */
  readonly cpu: Usages | undefined;
  /** Seconds of processor time for each 1,000 payments completed in the time measured; undefined where the system does not tell. */
  readonly cpu_seconds_per_1000: CpuPerPayments | undefined;
  readonly bus: BenchBus;
  /** Processes of each service; null: all services are in one process. */
  readonly instances: number | null;
  readonly seconds: number;
  readonly connections: number;
  readonly method: string;
  readonly hot: number;
  /** Since the start: payments acknowledged, and those of them that never reached a final status. */
  readonly acknowledged: number;
  readonly unfinished: number;
  readonly declined: number;
  readonly error_kinds: Readonly<Record<string, number>>;
  /** By the server's own times, of every payment; `completion_ms` is what a sample of clients saw. */
  readonly completion_by_server_ms: Percentiles;
  readonly completion_samples: number;
  readonly events_before: number;
  readonly load_us_per_request: number;
}

/** Of the payments' own parts: neither the load nor the card gateway is one. */
export interface CpuPerPayments {
  /** All of Caudal's own processes. */
  readonly platform: number;
  readonly postgres: number;
  /** Absent where the log is the bus. */
  readonly kafka?: number;
}

/** The limit is measured as long as the payments are, at most so long. */
const LIMIT_SECONDS = 5;

/**
 * Loads a server of our own with payments and counts those that reached their final status within the time measured. Then
 * waits for all, checks every balance, and measures what PostgreSQL could take at most.
 */
export function benchPayments(options: PaymentsOptions): Promise<PaymentsResult> {
  const { method, hot, connections, sampleEvery, preloadEvents, onPhase } = options;
  return withBenchServer(options, async (server) => {
    onPhase('waiting until every process has its share of the partitions');
    await untilShared(server, options.instances ?? 1);
    const customers = customersOf(options.wallets);
    onPhase(`opening ${customers.length} wallets`);
    const opening = method === 'wallet' ? await openWallets(server.url, customers) : new Map<string, number>();
    const plan = { method, hot, customers, currency: CURRENCY };
    const load = startLoad({ port: server.port, connections, sampleEvery, plan });
    try {
      const eventsBefore = await untilFilled(server, preloadEvents, onPhase);
      const window = await measureWindow(server, load, { ...options, warmUpMs: options.warmUp * 1000 });
      return await conclude(server, { ...window, eventsBefore }, opening, options);
    } finally {
      load.kill();
    }
  });
}

async function conclude(
  server: BenchServer,
  window: MeasuredWindow & { readonly eventsBefore: number },
  opening: ReadonlyMap<string, number>,
  options: PaymentsOptions,
): Promise<PaymentsResult> {
  const { database } = server;
  const { report, cpu, cpuSeconds, rssMb, from, to, eventsBefore, eventsPerSecond } = window;
  const seconds = (to - from) / 1000;
  options.onPhase('waiting for the last payments');
  const payments = await untilFinished(server, PAYMENTS_MADE, report.acknowledged);
  const counts = await countWindow(database.pool, PAYMENTS_MADE, from, to);
  const books = await checkBooks(database.pool, opening);
  options.onPhase('measuring the limit of PostgreSQL');
  const limit = await measureLimit(database, Math.min(LIMIT_SECONDS, options.seconds));
  const complete =
    report.errors > 0 ||
    (payments.created === report.acknowledged && payments.amountMinor === report.acknowledgedMinor);
  return {
    payments_per_second: Math.round(counts.completed / seconds),
    errors: report.errors,
    post_ms: report.post,
    completion_ms: report.completion,
    events_per_second: eventsPerSecond,
    limit_events_per_second: limit,
    ratio_to_limit: limit === 0 ? 0 : Math.round((eventsPerSecond / limit) * 1000) / 1000,
    ledger_balanced: books.balanced && complete && payments.unfinished === 0,
    rss_mb: rssMb,
    cpu,
    cpu_seconds_per_1000: cpuSeconds && cpuPer1000(cpuSeconds, counts.completed),
    bus: options.bus,
    instances: options.instances ?? null,
    ...(await versions(database.pool)),
    seconds: options.seconds,
    connections: options.connections,
    method: options.method,
    hot: options.hot,
    acknowledged: report.acknowledged,
    unfinished: payments.unfinished,
    declined: counts.completed - counts.succeeded,
    error_kinds: report.errorKinds,
    completion_by_server_ms: { p50: counts.p50, p95: counts.p95, p99: counts.p99 },
    completion_samples: report.completionSamples,
    events_before: eventsBefore,
    load_us_per_request: report.cpuUsPerRequest,
  };
}

function cpuPer1000({ server, postgres, kafka }: Usages, completed: number): CpuPerPayments {
  const per1000 = (seconds: number): number => Math.round((seconds / Math.max(1, completed)) * 1e6) / 1000;
  return {
    platform: per1000(server),
    postgres: per1000(postgres),
    ...(kafka !== undefined && { kafka: per1000(kafka) }),
  };
}
