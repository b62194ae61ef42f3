import { Command, InvalidArgumentError } from 'commander';
import type { GrowthOptions, GrowthResult } from '../../../bench/scenarios/growth.ts';
import { foundSomethingWrong } from '../failure.ts';
import { wholeNumber, withExample, withJson } from '../options.ts';
import { paint, printFields, printJson, printTable } from '../output.ts';
import { withPhases } from './phases.ts';

type Arguments = Omit<GrowthOptions, 'onPhase'> & { readonly json?: boolean };

const DEFINITIONS = `
One server and one store for all sizes. At each size, the load that filled the store goes on, warms up, and is measured. A
payment counts when it reaches its final status within the time measured. RATIO is to the first size's rate; the first size is
measured by a server that has just started, which a longer warm-up makes up for. POST: milliseconds until a payment's acceptance
is answered. FINAL: from acceptance to the final status, by the server's clock.`;

export function growthCommand(): Command {
  const growth = new Command('growth')
    .description('payments a second as the store grows')
    .option('--at <numbers>', 'sizes of the store, events, rising', sizes, [0, 1_000_000, 5_000_000])
    .option('--seconds <number>', 'how long is measured at each size', wholeNumber(1, 3600), 20)
    .option('--warm-up <number>', 'seconds of load before each measurement', wholeNumber(0, 3600), 10)
    .option('--connections <number>', 'clients, each with one payment on its way', wholeNumber(1, 10_000), 256)
    .option('--wallets <number>', 'how many wallets there are', wholeNumber(1, 1_000_000), 1000)
    .addHelpText('after', DEFINITIONS)
    .action(run);
  return withExample(withJson(growth), 'bench growth --at 0,1000000,5000000 --seconds 30');
}

function sizes(text: string): readonly number[] {
  const parts = text.split(',');
  const found = parts.map(Number);
  if (parts.every((part) => /^\d{1,10}$/.test(part)) && found.every((at, i) => i === 0 || at > found[i - 1]!)) {
    return found;
  }
  throw new InvalidArgumentError('It must be rising whole numbers, such as 0,1000000,5000000.');
}

async function run({ json, ...options }: Arguments): Promise<void> {
  const { benchGrowth } = await import('../../../bench/scenarios/growth.ts');
  const result = await withPhases((onPhase) => benchGrowth({ ...options, onPhase }));
  const errors = result.levels.reduce((sum, level) => sum + level.errors, 0);
  if (errors + result.unfinished > 0 || !result.ledger_balanced) foundSomethingWrong();
  if (json) printJson(result);
  else print(result);
}

function print(result: GrowthResult): void {
  console.log(paint('bold', `Wallet payments as the store grows, ${result.connections} connections`));
  printTable(
    result.levels,
    [
      { title: 'EVENTS', value: (level) => level.events_before, align: 'right' },
      { title: 'PAYMENTS/S', value: (level) => level.payments_per_second, align: 'right' },
      { title: 'RATIO', value: (level) => level.ratio, align: 'right' },
      { title: 'EVENTS/S', value: (level) => level.events_per_second, align: 'right' },
      { title: 'POST P50', value: (level) => level.post_ms.p50, align: 'right' },
      { title: 'P99', value: (level) => level.post_ms.p99, align: 'right' },
      { title: 'FINAL P50', value: (level) => level.completion_by_server_ms.p50, align: 'right' },
      { title: 'P99', value: (level) => level.completion_by_server_ms.p99, align: 'right' },
      { title: 'DATABASE MiB', value: (level) => level.database_mb, align: 'right' },
      { title: 'SERVER MiB', value: (level) => level.rss_mb, align: 'right' },
      { title: 'ERRORS', value: (level) => level.errors, align: 'right' },
    ],
    '',
  );
  printFields({
    payments: `${result.acknowledged} acknowledged in all, ${result.unfinished} without a final status`,
    ledger: result.ledger_balanced ? 'balanced: every wallet, and the sum of all accounts' : 'NOT BALANCED',
    versions: `commit ${result.commit}, Node ${result.node}, PostgreSQL ${result.postgres}`,
  });
}
