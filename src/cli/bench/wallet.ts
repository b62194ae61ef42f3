import { Command } from 'commander';
import type { WalletResult } from '../../../bench/scenarios/wallet.ts';
import { wholeNumber, withExample, withJson } from '../options.ts';
import { paint, printFields, printJson, printTable } from '../output.ts';
import { withPhases } from './phases.ts';

export function walletCommand(): Command {
  const wallet = new Command('wallet')
    .description('reading one wallet with a long history, warm and just after a start')
    .option('--events <number>', 'how many events it has', wholeNumber(10, 10_000_000), 10_000)
    .option('--restarts <number>', 'after how many starts each request is made', wholeNumber(1, 100), 3)
    .action(run);
  return withExample(withJson(wallet), 'bench wallet --events 10000');
}

async function run({ json, ...options }: { events: number; restarts: number; json?: boolean }): Promise<void> {
  const { benchWallet } = await import('../../../bench/scenarios/wallet.ts');
  const result = await withPhases((onPhase) => benchWallet({ ...options, onPhase }));
  if (json) printJson(result);
  else print(result);
}

function print({ events, warm_ms, cold_ms, commit, node, postgres }: WalletResult): void {
  console.log(paint('bold', `A wallet of ${events} events, milliseconds`));
  printTable(
    Object.entries(cold_ms),
    [
      { title: 'REQUEST', value: ([name]) => name },
      {
        title: 'WARM P50',
        value: ([name]) => (name === 'debit' ? '' : warm_ms[name as keyof typeof warm_ms].p50),
        align: 'right',
      },
      {
        title: 'WARM P99',
        value: ([name]) => (name === 'debit' ? '' : warm_ms[name as keyof typeof warm_ms].p99),
        align: 'right',
      },
      { title: 'COLD', value: ([, ms]) => ms, align: 'right' },
    ],
    '',
  );
  printFields({ versions: `commit ${commit}, Node ${node}, PostgreSQL ${postgres}` });
}
