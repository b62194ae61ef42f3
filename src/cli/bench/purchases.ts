import { Command, Option } from 'commander';
import { BUSES, MAX_INSTANCES } from '../../../bench/harness/shape.ts';
import type { PurchasesOptions, PurchasesResult } from '../../../bench/scenarios/purchases.ts';
import { foundSomethingWrong } from '../failure.ts';
import { wholeNumber, withExample, withJson } from '../options.ts';
import { paint, printFields, printJson } from '../output.ts';
import { withPhases } from './phases.ts';
import { printDurations } from './table.ts';

type Arguments = Omit<PurchasesOptions, 'onPhase'> & { readonly json?: boolean };

export function purchasesCommand(): Command {
  const purchases = new Command('purchases')
    .description('purchases of two products a second, from POST to their completion')
    .addOption(new Option('--bus <bus>', 'what carries events between services').choices(BUSES).default('postgres'))
    .option(
      '--instances <number>',
      'so many processes of each service and one with the API; all in one process when not given',
      wholeNumber(1, MAX_INSTANCES),
    )
    .option('--seconds <number>', 'how long is measured', wholeNumber(1, 3600), 10)
    .option('--warm-up <seconds>', 'how long the load runs before that', wholeNumber(0, 600), 2)
    .option('--connections <number>', 'clients, each with one purchase on its way', wholeNumber(1, 10_000), 256)
    .option(
      '--sample-every <number>',
      'every so many-th purchase is answered when it has ended; 1: no client asks for more before',
      wholeNumber(1),
      50,
    )
    .option('--wallets <number>', 'how many wallets there are', wholeNumber(1, 1_000_000), 1000)
    .option('--products <number>', 'how many products there are', wholeNumber(2, 1_000_000), 1000)
    .option('--profile <folder>', 'write a CPU profile of each of its processes there')
    .action(run);
  return withExample(withJson(purchases), 'bench purchases --seconds 30', 'bench purchases --bus kafka --instances 2');
}

async function run({ json, ...options }: Arguments): Promise<void> {
  const { benchPurchases } = await import('../../../bench/scenarios/purchases.ts');
  const result = await withPhases((onPhase) => benchPurchases({ ...options, onPhase }));
  if (!result.ledger_balanced || result.errors + result.stock_wrong > 0) foundSomethingWrong();
  if (json) printJson(result);
  else print(result);
}

function print(result: PurchasesResult): void {
  const { bus, instances, cpu } = result;
  console.log(paint('bold', `${result.purchases_per_second} completed purchases/s`));
  console.log(`on ${bus}, ${instances === null ? 'one process' : `${instances} of each service and one with the API`}`);
  printDurations({
    POST: result.post_ms,
    'to its end, a sample': result.completion_ms,
    'the same by the server’s clock, all': result.completion_by_server_ms,
  });
  printFields({
    errors: result.errors === 0 ? '0' : `${result.errors} ${JSON.stringify(result.error_kinds)}`,
    purchases: `${result.acknowledged} acknowledged in all, ${result.unfinished} without an end, ${result.cancelled} cancelled`,
    ledger: result.ledger_balanced ? 'balanced: every wallet, and the sum of all accounts' : 'NOT BALANCED',
    stock: result.stock_wrong === 0 ? 'of each product exactly what was sold is gone' : `${result.stock_wrong} WRONG`,
    events: `${result.events_per_second}/s`,
    memory: result.rss_mb === undefined ? undefined : `${result.rss_mb} MiB at most, the server`,
    cores: cpu,
    load: `${result.load_us_per_request} µs of processor time a request, ${result.connections} connections, ${result.seconds} s, ${result.products} products`,
    versions: `commit ${result.commit}, Node ${result.node}, PostgreSQL ${result.postgres}`,
  });
}
