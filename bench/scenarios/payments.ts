import { setTimeout as sleep } from 'node:timers/promises';
import { createLanes } from '../../src/cli/bank/lanes.ts';
import { type Client, createClient } from '../../src/cli/client.ts';
import { checkBooks, countPayments, countWindow } from '../harness/books.ts';
import { measureLimit } from '../harness/limit.ts';
import { type RunningLoad, startLoad } from '../harness/load.ts';
import { type BenchServer, withBenchServer } from '../harness/server.ts';
import { peakMemoryMib, type Usage, usageOf } from '../harness/usage.ts';
import { type Versions, versions } from '../harness/versions.ts';
import type { Percentiles } from '../load/histogram.ts';
import type { LoadReport, PaymentPlan } from '../load/protocol.ts';

export interface PaymentsOptions {
  readonly seconds: number;
  readonly connections: number;
  readonly method: PaymentPlan['method'];
  /** The share of payments that go to one wallet, 0 to 1. */
  readonly hot: number;
  readonly wallets: number;
  /** Payments are made until the store holds so many events, before anything is measured. */
  readonly preloadEvents: number;
  readonly profile?: string;
  /** What is being done, for a person who waits. */
  onPhase(phase: string): void;
}

/** Cores in use while it was measured; undefined where the system does not tell. */
export interface Cores {
  readonly server: number;
  readonly simulator: number;
  readonly postgres: number;
  readonly load: number;
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
  readonly cpu: Cores | undefined;
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

const CURRENCY = 'USD';
const OPENING = '10000000000.00';
const OPENING_MINOR = 1_000_000_000_000;
const WARM_UP_MS = 2000;
const SAMPLE_EVERY = 50;
const SETUP_CONNECTIONS = 32;
const FINISH_LIMIT_MS = 120_000;
const LOOK_MS = 100;
const LIMIT_SECONDS = 5;

/**
 * Loads a server of our own with payments and counts those that reached their final status within the time measured. Then
 * waits for all, checks every balance, and measures what PostgreSQL could take at most.
 */
export function benchPayments(options: PaymentsOptions): Promise<PaymentsResult> {
  options.onPhase('starting a server');
  return withBenchServer(options.profile, async (server) => {
    const customers = Array.from({ length: options.wallets }, (_, i) => `bench-${String(i + 1).padStart(5, '0')}`);
    const opening =
      options.method === 'wallet' ? await openWallets(server, customers, options) : new Map<string, number>();
    const { method, hot, connections } = options;
    const plan = { method, hot, customers, currency: CURRENCY };
    const load = startLoad({ port: server.port, connections, sampleEvery: SAMPLE_EVERY, plan });
    try {
      const window = await runLoad(server, load, options);
      return await conclude(server, window, opening, options);
    } finally {
      load.kill();
    }
  });
}

async function openWallets(
  server: BenchServer,
  customers: readonly string[],
  options: PaymentsOptions,
): Promise<ReadonlyMap<string, number>> {
  options.onPhase(`opening ${customers.length} wallets`);
  const client = createClient(server.url, SETUP_CONNECTIONS);
  const lanes = createLanes(SETUP_CONNECTIONS);
  for (const customer of customers) await lanes.put(customer, () => openWallet(client, customer));
  await lanes.finish();
  client.close();
  return new Map(customers.map((customer) => [customer, OPENING_MINOR]));
}

async function openWallet(client: Client, customer: string): Promise<void> {
  await client.post('/wallets', { user_id: customer, currency: CURRENCY });
  await client.post(`/wallets/${customer}/credits`, { amount: OPENING, reason: 'deposit', reference: 'opening' });
}

/** What was seen while it was measured. */
interface MeasuredWindow {
  readonly from: number;
  readonly to: number;
  readonly eventsBefore: number;
  readonly report: LoadReport;
  readonly cpu: Cores | undefined;
  readonly rssMb: number | undefined;
}

async function runLoad(server: BenchServer, load: RunningLoad, options: PaymentsOptions): Promise<MeasuredWindow> {
  const eventsBefore = await preload(server, options);
  options.onPhase('warming up');
  await sleep(WARM_UP_MS);
  options.onPhase(`measuring for ${options.seconds} s`);
  const before = allUsage(server, load);
  const from = Date.now();
  load.measure();
  await sleep(options.seconds * 1000);
  const to = Date.now();
  const after = allUsage(server, load);
  const report = await load.stop();
  return {
    from,
    to,
    eventsBefore,
    report,
    cpu: coresBetween(before, after, (to - from) / 1000),
    rssMb: peakMemoryMib(server.pid),
  };
}

/** @returns how many events the store holds */
async function preload({ database }: BenchServer, { preloadEvents, onPhase }: PaymentsOptions): Promise<number> {
  for (;;) {
    const rows = await database.pool.query<{ events: number }>(
      'SELECT sum(position)::bigint AS events FROM event_chains',
    );
    const { events } = rows[0]!;
    if (events >= preloadEvents) return events;
    onPhase(`filling the store: ${events} of ${preloadEvents} events`);
    await sleep(LOOK_MS);
  }
}

interface AllUsage {
  readonly server: Usage | undefined;
  readonly postgres: Usage | undefined;
  readonly load: Usage | undefined;
}

function allUsage(server: BenchServer, load: RunningLoad): AllUsage {
  return {
    server: usageOf(server.pid, server.postgresPid),
    postgres: usageOf(server.postgresPid),
    load: usageOf(load.pid),
  };
}

function coresBetween(before: AllUsage, after: AllUsage, seconds: number): Cores | undefined {
  if (before.server === undefined || before.postgres === undefined || before.load === undefined) return undefined;
  const cores = (from: number, to: number | undefined): number =>
    Math.round((((to ?? from) - from) / seconds) * 100) / 100;
  return {
    server: cores(before.server.own, after.server?.own),
    simulator: cores(before.server.children, after.server?.children),
    postgres: cores(
      before.postgres.own + before.postgres.children,
      after.postgres && after.postgres.own + after.postgres.children,
    ),
    load: cores(before.load.own, after.load?.own),
  };
}

async function conclude(
  server: BenchServer,
  window: MeasuredWindow,
  opening: ReadonlyMap<string, number>,
  options: PaymentsOptions,
): Promise<PaymentsResult> {
  const { database } = server;
  const { report, cpu, rssMb, from, to, eventsBefore } = window;
  const seconds = (to - from) / 1000;
  options.onPhase('waiting for the last payments');
  const payments = await untilFinished(server, report);
  const counts = await countWindow(database.pool, from, to);
  const books = await checkBooks(database.pool, opening);
  options.onPhase('measuring the limit of PostgreSQL');
  const limit = await measureLimit(database, LIMIT_SECONDS);
  const eventsPerSecond = counts.events / seconds;
  const complete =
    report.errors > 0 ||
    (payments.created === report.acknowledged && payments.amountMinor === report.acknowledgedMinor);
  return {
    payments_per_second: Math.round(counts.completed / seconds),
    errors: report.errors,
    post_ms: report.post,
    completion_ms: report.completion,
    events_per_second: Math.round(eventsPerSecond),
    limit_events_per_second: limit,
    ratio_to_limit: limit === 0 ? 0 : Math.round((eventsPerSecond / limit) * 1000) / 1000,
    ledger_balanced: books.balanced && complete && payments.unfinished === 0 && payments.created >= report.acknowledged,
    rss_mb: rssMb,
    cpu,
    ...(await versions(database.pool)),
    seconds: options.seconds,
    connections: options.connections,
    method: options.method,
    hot: options.hot,
    acknowledged: report.acknowledged,
    unfinished: payments.unfinished,
    declined: counts.completed - counts.approved,
    error_kinds: report.errorKinds,
    completion_by_server_ms: { p50: counts.p50, p95: counts.p95, p99: counts.p99 },
    completion_samples: report.completionSamples,
    events_before: eventsBefore,
    load_us_per_request: report.cpuUsPerRequest,
  };
}

/** Waits until every payment acknowledged is in the read model and final; at most so long. */
async function untilFinished({ database }: BenchServer, report: LoadReport): ReturnType<typeof countPayments> {
  const deadline = Date.now() + FINISH_LIMIT_MS;
  for (;;) {
    const payments = await countPayments(database.pool);
    if (payments.unfinished === 0 && payments.created >= report.acknowledged) return payments;
    if (Date.now() > deadline) return payments;
    await sleep(LOOK_MS);
  }
}
