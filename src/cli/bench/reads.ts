import { Command } from 'commander';
import type { ReadsOptions, ReadsResult } from '../../../bench/scenarios/reads.ts';
import type { ShopReadsResult } from '../../../bench/scenarios/shop-reads.ts';
import { foundSomethingWrong } from '../failure.ts';
import { share, wholeNumber, withExample, withJson } from '../options.ts';
import { paint, printFields, printJson, printTable } from '../output.ts';
import { withPhases } from './phases.ts';

/** `mix` is a share of balances, or the shop's. */
type Arguments = Omit<ReadsOptions, 'onPhase' | 'mix'> & {
  readonly mix: number | typeof SHOP;
  readonly products: number;
  readonly profile?: string;
  readonly json?: boolean;
};

const SHOP = 'shop';

const DEFINITIONS = `
Each connection has one look-up on its way; a duration lasts from sending it until the whole answer is there. Of the look-ups
that do not ask for a balance, every second asks for a payment that was accepted a moment ago ("new_payment"). Every answer is
parsed and checked; only right ones count. Payments are made at their own pace all the while, each timed from its moment. In the
shop popular products are looked up more often (Zipf), and what is written are payments, deliveries and prices in turn.`;

export function readsCommand(): Command {
  const reads = new Command('reads')
    .description('balances and payments looked up a second, while payments are made')
    .option('--seconds <number>', 'how long is measured', wholeNumber(1, 3600), 10)
    .option('--connections <number>', 'clients, each with one look-up on its way', wholeNumber(1, 10_000), 64)
    .option(
      '--mix <mix>',
      'share of the look-ups, 0 to 1, that ask for a balance, the others for payments; or shop: 80 % products, 15 % stock, 5 % balances',
      (text: string) => (text === SHOP ? SHOP : share(text)),
      0.5,
    )
    .option('--writes-per-second <number>', 'writes made meanwhile', wholeNumber(0, 100_000), 500)
    .option('--wallets <number>', 'how many wallets there are', wholeNumber(1, 1_000_000), 1000)
    .option('--products <number>', 'how many products there are, of the shop', wholeNumber(1, 1_000_000), 1000)
    .option(
      '--preload-events <number>',
      'fill the store with so many events first; not of the shop',
      wholeNumber(1),
      100_000,
    )
    .option('--profile <folder>', 'write a CPU profile of its server there; of the shop')
    .addHelpText('after', DEFINITIONS)
    .action(run);
  return withExample(
    withJson(reads),
    'bench reads --seconds 30 --connections 64 --writes-per-second 500 --mix 0.5',
    'bench reads --mix shop',
  );
}

async function run({ json, mix, ...options }: Arguments): Promise<void> {
  if (mix === SHOP) return runShop({ ...options, ...(json !== undefined && { json }) });
  const { benchReads } = await import('../../../bench/scenarios/reads.ts');
  const result = await withPhases((onPhase) => benchReads({ ...options, mix, onPhase }));
  const { errors, wrong, balances_wrong, ledger_balanced, writes } = result;
  if (errors + wrong + balances_wrong + writes.errors + writes.skipped > 0 || !ledger_balanced) foundSomethingWrong();
  if (json) printJson(result);
  else print(result);
}

async function runShop({ json, ...options }: Omit<Arguments, 'mix'>): Promise<void> {
  const { benchShopReads } = await import('../../../bench/scenarios/shop-reads.ts');
  const result = await withPhases((onPhase) => benchShopReads({ ...options, onPhase }));
  const { errors, wrong, rows_wrong, writes } = result;
  if (errors + wrong + rows_wrong + writes.errors + writes.skipped > 0) foundSomethingWrong();
  if (json) printJson(result);
  else printShop(result);
}

function print(result: ReadsResult): void {
  printReads(result, {
    balances: `${result.balances_compared} asked for afterwards, ${result.balances_wrong} wrong`,
    ledger: result.ledger_balanced ? 'balanced: every wallet, and the sum of all accounts' : 'NOT BALANCED',
    'events before': result.events_before,
  });
}

function printShop(result: ShopReadsResult): void {
  printReads(result, {
    'from the caches': Object.entries(result.hit_ratio)
      .map(([cache, ratio]) => `${cache} ${ratio}`)
      .join(', '),
    rows: `${result.rows_compared} asked for afterwards, ${result.rows_wrong} not as in the database`,
  });
}

function printReads(result: ReadsResult | ShopReadsResult, more: Readonly<Record<string, string | number>>): void {
  const { writes, cpu } = result;
  console.log(paint('bold', `${result.reads_per_second} right look-ups/s`));
  printTable(
    Object.entries(result.kinds),
    [
      { title: 'MILLISECONDS', value: ([kind]) => kind.replace('_', ' ') },
      { title: 'A SECOND', value: ([, found]) => found.per_second, align: 'right' },
      { title: 'P50', value: ([, found]) => found.p50, align: 'right' },
      { title: 'P95', value: ([, found]) => found.p95, align: 'right' },
      { title: 'P99', value: ([, found]) => found.p99, align: 'right' },
      { title: 'WRONG', value: ([, found]) => found.wrong, align: 'right' },
    ],
    '',
  );
  printFields({
    errors: result.errors === 0 ? '0' : `${result.errors} ${JSON.stringify(result.error_kinds)}`,
    writes: `${writes.accepted_per_second}/s accepted of ${writes.wanted_per_second}/s, ${writes.errors} errors, ${writes.skipped} not sent; ms ${writes.p50} p50, ${writes.p95} p95, ${writes.p99} p99`,
    ...more,
    cores: cpu,
    load: `${result.load_us_per_request} µs of processor time a look-up, ${result.connections} connections, ${result.seconds} s`,
    versions: `commit ${result.commit}, Node ${result.node}, PostgreSQL ${result.postgres}`,
  });
}
