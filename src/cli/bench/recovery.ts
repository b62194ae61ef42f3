import { Command } from 'commander';
import type { RecoveryOptions, RecoveryResult } from '../../../bench/scenarios/recovery.ts';
import { foundSomethingWrong } from '../failure.ts';
import { wholeNumber, withExample, withJson } from '../options.ts';
import { paint, printFields, printJson, printTable } from '../output.ts';
import { withPhases } from './phases.ts';

type Arguments = Omit<RecoveryOptions, 'onPhase'> & { readonly json?: boolean };

const DEFINITIONS = `
The server gets SIGKILL under load, alone and together with PostgreSQL in turn, and is started again at once. ACCEPTED: until a
client, who tries every few milliseconds, has its first payment accepted. FINAL: until that same payment has its final status.
Afterwards every payment that was ever acknowledged must be there and final, and every balance right.`;

export function recoveryCommand(): Command {
  const recovery = new Command('recovery')
    .description('how long after kill -9 until payments are taken again')
    .option('--events <number>', 'fill the store with so many events first', wholeNumber(0), 5_000_000)
    .option('--rounds <number>', 'kills of each sort', wholeNumber(1, 100), 5)
    .option('--connections <number>', 'clients of the load around each kill', wholeNumber(1, 1000), 64)
    .option('--wallets <number>', 'how many wallets there are', wholeNumber(1, 1_000_000), 1000)
    .addHelpText('after', DEFINITIONS)
    .action(run);
  return withExample(withJson(recovery), 'bench recovery --events 5000000 --rounds 5');
}

async function run({ json, ...options }: Arguments): Promise<void> {
  const { benchRecovery } = await import('../../../bench/scenarios/recovery.ts');
  const result = await withPhases((onPhase) => benchRecovery({ ...options, onPhase }));
  if (result.lost + result.unfinished > 0 || !result.ledger_balanced) foundSomethingWrong();
  if (json) printJson(result);
  else print(result);
}

function print(result: RecoveryResult): void {
  const { medians, slowest, rounds } = result;
  console.log(paint('bold', `After kill -9 with ${result.events} events stored, milliseconds`));
  printTable(
    [
      { killed: 'server', what: 'median', ...medians.server },
      { killed: '', what: 'slowest', ...slowest.server },
      { killed: 'server and PostgreSQL', what: 'median', ...medians.server_and_postgres },
      { killed: '', what: 'slowest', ...slowest.server_and_postgres },
    ],
    [
      { title: 'KILLED', value: (row) => row.killed },
      { title: '', value: (row) => row.what },
      { title: 'KILL TO ACCEPTED', value: (row) => row.kill_to_accepted_ms, align: 'right' },
      { title: 'TO FINAL', value: (row) => row.kill_to_final_ms, align: 'right' },
      { title: 'START TO ACCEPTED', value: (row) => row.start_to_accepted_ms, align: 'right' },
      { title: 'TO FINAL', value: (row) => row.start_to_final_ms, align: 'right' },
    ],
    '',
  );
  printFields({
    kills: `${rounds.length}, under the load of ${result.connections} connections`,
    payments: `${result.acknowledged} acknowledged around the kills, ${result.lost} lost; ${result.unanswered} requests not answered; ${result.unfinished} payments without a final status`,
    ledger: result.ledger_balanced ? 'balanced: every wallet, and the sum of all accounts' : 'NOT BALANCED',
    versions: `commit ${result.commit}, Node ${result.node}, PostgreSQL ${result.postgres}`,
  });
}
