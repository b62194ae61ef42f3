import { productIdOf } from '#services/catalog/contract.ts';
import { createClient } from '../../src/cli/client.ts';
import { PAYMENTS_MADE } from '../harness/books.ts';
import { startReads } from '../harness/load.ts';
import { type BenchServer, withBenchServer } from '../harness/server.ts';
import { type BenchProduct, openShop, productsOf } from '../harness/shop.ts';
import { type Versions, versions } from '../harness/versions.ts';
import { CURRENCY, customersOf, openWallets } from '../harness/wallets.ts';
import { measureWindow, type OnPhase, type Usages, untilFinished } from '../harness/window.ts';
import { paymentOf, startWriter, type WriterOptions, type WriterReport } from '../harness/writer.ts';
import { type KindFigures, readFigures } from './reads.ts';

export interface ShopReadsOptions {
  readonly seconds: number;
  readonly connections: number;
  readonly writesPerSecond: number;
  readonly wallets: number;
  readonly products: number;
  readonly profile?: string;
  readonly onPhase: OnPhase;
}

/** Durations are milliseconds, from sending a request until its whole answer is there. */
export interface ShopReadsResult extends Versions {
  /** Right answers, of all kinds, a second. */
  readonly reads_per_second: number;
  readonly kinds: KindFigures;
  readonly errors: number;
  readonly error_kinds: Readonly<Record<string, number>>;
  readonly wrong: number;
  /** Of each cache, since the server was started: hits of all look-ups. */
  readonly hit_ratio: Readonly<Record<string, number>>;
  /** Payments, changes of stock and changes of prices made meanwhile; durations from the moment each was due. */
  readonly writes: WriterReport & { readonly wanted_per_second: number; readonly accepted_per_second: number };
  /** Afterwards: products, stock and wallets asked for by the API, and those that are not what the database has. */
  readonly rows_compared: number;
  readonly rows_wrong: number;
  readonly seconds: number;
  readonly connections: number;
  readonly cpu: Usages | undefined;
  readonly load_us_per_request: number;
}

const WARM_UP_MS = 2000;
const UNITS = 1_000_000;

/**
 * Products (80 %), their stock (15 %) and balances (5 %) looked up as fast as so many connections can, the popular ones more often by
 * Zipf's law, while payments, deliveries and price changes are made at a steady rate. Every answer is checked. Afterwards all of
 * it is asked for once more and compared with the database.
 */
export function benchShopReads(options: ShopReadsOptions): Promise<ShopReadsResult> {
  const { onPhase, seconds, connections, writesPerSecond: perSecond } = options;
  return withBenchServer(options, async (server) => {
    const customers = customersOf(options.wallets);
    const products = productsOf(options.products);
    onPhase(`opening ${customers.length} wallets and a shop of ${products.length} products`);
    await openWallets(server.url, customers);
    await openShop(server.url, products, UNITS);
    const { port, url } = server;
    const skus = products.map(({ sku }) => sku);
    const reads = startReads({ port, connections, mix: { products: skus, customers } });
    let payments = 0;
    const onAccepted = (answer: unknown): void => {
      if (isPayment(answer)) payments += 1;
    };
    const writer = startWriter({ url, perSecond, requestOf: writesOf(customers, products), onAccepted });
    const started = performance.now();
    try {
      const window = await measureWindow(server, reads, { seconds, onPhase, warmUpMs: WARM_UP_MS });
      const ran = (performance.now() - started) / 1000;
      const writes = await writer.stop();
      // A payment that is accepted is debited a moment later.
      onPhase('waiting for the last payments');
      await untilFinished(server, PAYMENTS_MADE, payments);
      onPhase('comparing what is read with what is there');
      return {
        ...readFigures(window),
        hit_ratio: await hitRatios(server),
        writes: { ...writes, wanted_per_second: perSecond, accepted_per_second: Math.round(writes.accepted / ran) },
        rows_compared: 2 * products.length + customers.length,
        rows_wrong: await countWrongRows(server, skus, customers),
        ...{ seconds, connections },
        ...(await versions(server.database.pool)),
      };
    } finally {
      reads.kill();
      await writer.stop();
    }
  });
}

/** Payments, deliveries and price changes in turn: what is in each of the caches changes. */
function writesOf(customers: readonly string[], products: readonly BenchProduct[]): WriterOptions['requestOf'] {
  return (number) => {
    const { sku, priceMinor } = products[number % products.length]!;
    if (number % 3 === 0) return paymentOf(customers, number);
    if (number % 3 === 1) return ['POST', `/inventory/${sku}/adjustments`, { change: 1, reason: 'delivery' }];
    // Another price each time.
    const price = (priceMinor + 1 + (number % 100)) / 100;
    return ['PUT', `/products/${sku}`, { name: `Product ${sku}`, price, currency: CURRENCY }];
  };
}

function isPayment(answer: unknown): boolean {
  return typeof answer === 'object' && answer !== null && 'method' in answer;
}

const RATIO = /^caudal_cache_hit_ratio\{cache="(\w+)"\} (\S+)$/gm;

async function hitRatios({ url }: BenchServer): Promise<Readonly<Record<string, number>>> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Object.fromEntries(
    [...text.matchAll(RATIO)].map(([, cache, ratio]) => [cache, Math.round(Number(ratio) * 1000) / 1000]),
  );
}

async function countWrongRows(
  { url, database: { pool } }: BenchServer,
  skus: readonly string[],
  customers: readonly string[],
): Promise<number> {
  const prices = await pool.query<{ sku: string; price_minor: number }>(
    'SELECT sku, price_minor FROM catalog.products',
  );
  const stock = await pool.query<{ product_id: string; on_hand: number }>(
    'SELECT product_id, on_hand FROM inventory.stock',
  );
  const wallets = await pool.query<{ user_id: string; balance_minor: number }>(
    'SELECT user_id, balance_minor FROM wallets.wallet_balances',
  );
  const priceOf = new Map(prices.map((row) => [row.sku, row.price_minor]));
  const unitsOf = new Map(stock.map((row) => [row.product_id, row.on_hand]));
  const balanceOf = new Map(wallets.map((row) => [row.user_id, row.balance_minor]));
  const client = createClient(url);
  let wrong = 0;
  for (const sku of skus) {
    const product = await client.get<{ price_minor: number }>(`/products/${sku}`);
    const levels = await client.get<{ on_hand: number }>(`/inventory/${sku}`);
    if (product.price_minor !== priceOf.get(sku)) wrong += 1;
    if (levels.on_hand !== unitsOf.get(productIdOf(sku))) wrong += 1;
  }
  for (const user of customers) {
    const wallet = await client.get<{ balance_minor: number }>(`/wallets/${user}/balance`);
    if (wallet.balance_minor !== balanceOf.get(user)) wrong += 1;
  }
  client.close();
  return wrong;
}
