import { checkBooks, countWindow, PAYMENTS_MADE, PURCHASES_MADE } from '../harness/books.ts';
import { startLoad } from '../harness/load.ts';
import { type BenchServer, withBenchServer } from '../harness/server.ts';
import type { BenchBus } from '../harness/shape.ts';
import { untilShared } from '../harness/shares.ts';
import { type BenchProduct, openShop, productsOf, wrongStock } from '../harness/shop.ts';
import { type Versions, versions } from '../harness/versions.ts';
import { customersOf, openWallets } from '../harness/wallets.ts';
import { type MeasuredWindow, measureWindow, type OnPhase, type Usages, untilFinished } from '../harness/window.ts';
import type { Percentiles } from '../load/histogram.ts';

export interface PurchasesOptions {
  /** The load runs so long before it is measured, seconds. */
  readonly warmUp: number;
  readonly bus: BenchBus;
  /** See `ServerOptions`. */
  readonly instances?: number;
  readonly seconds: number;
  readonly connections: number;
  /** Every so many-th purchase is answered when it has ended only. */
  readonly sampleEvery: number;
  readonly wallets: number;
  /** At least two. */
  readonly products: number;
  readonly profile?: string;
  readonly onPhase: OnPhase;
}

export interface PurchasesResult extends Versions {
  /** Completed: paid, and the units have left the house. */
  readonly purchases_per_second: number;
  readonly errors: number;
  readonly error_kinds: Readonly<Record<string, number>>;
  readonly post_ms: Percentiles;
  readonly completion_ms: Percentiles;
  /** By the server's own times, of every purchase; `completion_ms` is what a sample of clients saw. */
  readonly completion_by_server_ms: Percentiles;
  readonly events_per_second: number;
  /** Since the start: purchases acknowledged, those that never ended, and those that ended without a sale. */
  readonly acknowledged: number;
  readonly unfinished: number;
  readonly cancelled: number;
  readonly ledger_balanced: boolean;
  /** Products of which not exactly what was sold is gone. */
  readonly stock_wrong: number;
  readonly rss_mb: number | undefined;
  /** Cores in use. */
  readonly cpu: Usages | undefined;
  readonly bus: BenchBus;
  /** Processes of each service; null: all services are in one process. */
  readonly instances: number | null;
  readonly seconds: number;
  readonly connections: number;
  readonly products: number;
  readonly load_us_per_request: number;
}

/** More than any load buys. */
const UNITS = 100_000_000;

/**
 * Loads a server of our own with purchases of two products each, paid from wallets, and counts those that were completed within
 * the time measured. Then waits for all, and checks every balance and the stock of every product.
 */
export function benchPurchases(options: PurchasesOptions): Promise<PurchasesResult> {
  const { connections, sampleEvery, onPhase } = options;
  return withBenchServer(options, async (server) => {
    onPhase('waiting until every process has its share of the partitions');
    await untilShared(server, options.instances ?? 1);
    const customers = customersOf(options.wallets);
    const products = productsOf(options.products);
    onPhase(`opening ${customers.length} wallets and a shop of ${products.length} products`);
    const opening = await openWallets(server.url, customers);
    await openShop(server.url, products, UNITS);
    const load = startLoad({ port: server.port, connections, sampleEvery, plan: { customers, products } });
    try {
      const window = await measureWindow(server, load, { ...options, warmUpMs: options.warmUp * 1000 });
      return await conclude(server, window, opening, products, options);
    } finally {
      load.kill();
    }
  });
}

async function conclude(
  server: BenchServer,
  { report, cpu, rssMb, from, to, eventsPerSecond }: MeasuredWindow,
  opening: ReadonlyMap<string, number>,
  products: readonly BenchProduct[],
  options: PurchasesOptions,
): Promise<PurchasesResult> {
  const { pool } = server.database;
  options.onPhase('waiting for the last purchases');
  const made = await untilFinished(server, PURCHASES_MADE, report.acknowledged);
  // The books go by the payments, whose read model is another.
  await untilFinished(server, PAYMENTS_MADE, report.acknowledged);
  const counts = await countWindow(pool, PURCHASES_MADE, from, to);
  const books = await checkBooks(pool, opening);
  const wrong = await wrongStock(pool, products, UNITS);
  const complete =
    report.errors > 0 || (made.created === report.acknowledged && made.amountMinor === report.acknowledgedMinor);
  return {
    purchases_per_second: Math.round((counts.succeeded / (to - from)) * 1000),
    errors: report.errors,
    error_kinds: report.errorKinds,
    post_ms: report.post,
    completion_ms: report.completion,
    completion_by_server_ms: { p50: counts.p50, p95: counts.p95, p99: counts.p99 },
    events_per_second: eventsPerSecond,
    acknowledged: report.acknowledged,
    unfinished: made.unfinished,
    cancelled: counts.completed - counts.succeeded,
    ledger_balanced: books.balanced && complete && made.unfinished === 0,
    stock_wrong: wrong.length,
    rss_mb: rssMb,
    cpu,
    bus: options.bus,
    instances: options.instances ?? null,
    ...(await versions(pool)),
    seconds: options.seconds,
    connections: options.connections,
    products: options.products,
    load_us_per_request: report.cpuUsPerRequest,
  };
}
