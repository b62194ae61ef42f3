import { Command } from 'commander';
import type { ReplayOptions, ReplayResult } from '../../../bench/scenarios/replay.ts';
import { foundSomethingWrong } from '../failure.ts';
import { wholeNumber, withExample, withJson } from '../options.ts';
import { paint, printFields, printJson, printTable } from '../output.ts';
import { withPhases } from './phases.ts';

type Arguments = Omit<ReplayOptions, 'onPhase'> & { readonly json?: boolean };

const DEFINITIONS = `
The store is filled by payments, most by wallet and some by card. Then each read model is rebuilt alone, on an idle server, as
"projections rebuild" does it. EVENTS are those of the types that it is made of; SECONDS is all of the rebuild: reading, folding,
writing, comparing every row with what served until then, and swapping in.`;

export function replayCommand(): Command {
  const replay = new Command('replay')
    .description('events a second at which each read model is rebuilt from the log')
    .option('--events <number>', 'fill the store with so many events first', wholeNumber(1), 1_000_000)
    .option('--wallets <number>', 'how many wallets there are', wholeNumber(1, 1_000_000), 1000)
    .addHelpText('after', DEFINITIONS)
    .action(run);
  return withExample(withJson(replay), 'bench replay --events 1000000');
}

async function run({ json, ...options }: Arguments): Promise<void> {
  const { benchReplay } = await import('../../../bench/scenarios/replay.ts');
  const result = await withPhases((onPhase) => benchReplay({ ...options, onPhase }));
  const different = result.read_models.some((model) => model.different > 0);
  if (different || result.unfinished + result.load_errors > 0 || !result.ledger_balanced) foundSomethingWrong();
  if (json) printJson(result);
  else print(result);
}

function print(result: ReplayResult): void {
  console.log(paint('bold', `Rebuilt from a log of ${result.events} events`));
  printTable(
    result.read_models,
    [
      { title: 'READ MODEL', value: (model) => model.name },
      { title: 'KEPT', value: (model) => model.kept },
      { title: 'EVENTS', value: (model) => model.events, align: 'right' },
      { title: 'ROWS', value: (model) => model.rows, align: 'right' },
      { title: 'SECONDS', value: (model) => model.seconds, align: 'right' },
      { title: 'EVENTS/S', value: (model) => model.events_per_second, align: 'right' },
      { title: 'DIFFERENT', value: (model) => model.different, align: 'right' },
    ],
    '',
  );
  printFields({
    payments: `${result.payments}, ${result.unfinished} without a final status, ${result.load_errors} errors while filling`,
    ledger: result.ledger_balanced ? 'balanced: every wallet, and the sum of all accounts' : 'NOT BALANCED',
    versions: `commit ${result.commit}, Node ${result.node}, PostgreSQL ${result.postgres}`,
  });
}
