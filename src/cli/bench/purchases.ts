import { Command } from 'commander';
import type { PurchasesOptions, PurchasesResult } from '../../../bench/scenarios/purchases.ts';
import { foundSomethingWrong } from '../failure.ts';
import { wholeNumber, withExample, withJson } from '../options.ts';
import { paint, printFields, printJson } from '../output.ts';
import { withLoad } from './load-options.ts';
import { withPhases } from './phases.ts';
import { printDurations } from './table.ts';

type Arguments = Omit<PurchasesOptions, 'onPhase'> & { readonly json?: boolean };

export function purchasesCommand(): Command {
  const purchases = withLoad(new Command('purchases'), 'purchase')
    .description('purchases of two products a second, from POST to their completion')
    .option('--products <number>', 'how many products there are', wholeNumber(2, 1_000_000), 1000)
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
