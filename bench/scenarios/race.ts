import { type Client, createClient } from '../../src/cli/client.ts';
import { checkBooks, PAYMENTS_MADE, PURCHASES_MADE } from '../harness/books.ts';
import { type BenchServer, withBenchServer } from '../harness/server.ts';
import { openShop, productsOf, wrongStock } from '../harness/shop.ts';
import { type Versions, versions } from '../harness/versions.ts';
import { customersOf, openWallets } from '../harness/wallets.ts';
import { type OnPhase, untilFinished } from '../harness/window.ts';
import { createHistogram, type Percentiles, percentilesOf } from '../load/histogram.ts';

export interface RaceOptions {
  readonly buyers: number;
  readonly races: number;
  readonly onPhase: OnPhase;
}

export interface RaceResult extends Versions {
  readonly races: number;
  readonly buyers: number;
  /** Races that exactly one buyer has won. */
  readonly won_by_one: number;
  /** Races that nobody has won, and that several have. */
  readonly won_by_none: number;
  readonly won_by_several: number;
  /** Purchases that lost for another reason than the stock. */
  readonly lost_otherwise: number;
  /** What the losers have paid in all, minor units. */
  readonly losers_paid_minor: number;
  /** From a buyer's request to the end of the purchase. */
  readonly purchase_ms: Percentiles;
  readonly ledger_balanced: boolean;
  /** Products of which not exactly what was sold is gone. */
  readonly stock_wrong: number;
}

interface Purchase {
  readonly status: string;
  readonly reason: string | null;
}

const WAIT_SECONDS = 30;
const CREATED = 201;
const ONE = 1;

/** Buyers at the same moment buy the last unit of a product, again and again: each race must have one winner. */
export function benchRace({ buyers, races, onPhase }: RaceOptions): Promise<RaceResult> {
  return withBenchServer({ onPhase }, async (server) => {
    const customers = customersOf(buyers);
    const products = productsOf(races, 'race');
    onPhase(`opening ${buyers} wallets, and a shop of ${races} products with one unit each`);
    const opening = await openWallets(server.url, customers);
    await openShop(server.url, products, ONE);
    const client = createClient(server.url, buyers);
    const histogram = createHistogram();
    const ended: (readonly Purchase[])[] = [];
    for (const [number, { sku }] of products.entries()) {
      if (number % 10 === 0) onPhase(`race ${number + 1} of ${races}`);
      ended.push(await Promise.all(customers.map((customer) => buy(client, customer, sku, histogram))));
    }
    client.close();
    return conclude(server, ended, percentilesOf(histogram), { opening, products, buyers });
  });
}

async function buy(
  client: Client,
  customer: string,
  sku: string,
  histogram: ReturnType<typeof createHistogram>,
): Promise<Purchase> {
  const started = performance.now();
  const body = { customer_id: customer, method: 'wallet', lines: [{ product_id: sku, quantity: ONE }] };
  const answer = await client.send('POST', '/purchases', { body, headers: { prefer: `wait=${WAIT_SECONDS}` } });
  histogram.record(performance.now() - started);
  if (answer.status !== CREATED) throw new Error(`a purchase was answered ${answer.status}`);
  return answer.body as Purchase;
}

async function conclude(
  server: BenchServer,
  ended: readonly (readonly Purchase[])[],
  purchase_ms: Percentiles,
  race: {
    readonly opening: ReadonlyMap<string, number>;
    readonly products: ReturnType<typeof productsOf>;
    readonly buyers: number;
  },
): Promise<RaceResult> {
  const winners = ended.map((purchases) => purchases.filter(({ status }) => status === 'COMPLETED').length);
  const losers = ended.flat().filter(({ status }) => status !== 'COMPLETED');
  const { pool } = server.database;
  const made = await untilFinished(server, PURCHASES_MADE, ended.length * race.buyers);
  // Each winner's payment, whose read model is another.
  await untilFinished(server, PAYMENTS_MADE, ended.length);
  const books = await checkBooks(pool, race.opening);
  const sold = race.products.reduce((sum, { priceMinor }, i) => sum + priceMinor * winners[i]!, 0);
  const [balances] = await pool.query<{ left: number }>(
    'SELECT sum(balance_minor)::bigint AS left FROM wallets.wallet_balances',
  );
  const before = [...race.opening.values()].reduce((sum, minor) => sum + minor, 0);
  return {
    races: ended.length,
    buyers: race.buyers,
    won_by_one: winners.filter((count) => count === 1).length,
    won_by_none: winners.filter((count) => count === 0).length,
    won_by_several: winners.filter((count) => count > 1).length,
    lost_otherwise: losers.filter(({ status, reason }) => status !== 'CANCELLED' || reason !== 'out_of_stock').length,
    losers_paid_minor: before - balances!.left - sold,
    purchase_ms,
    ledger_balanced: books.balanced && made.unfinished === 0,
    stock_wrong: (await wrongStock(pool, race.products, ONE)).length,
    ...(await versions(pool)),
  };
}
