import { Command } from 'commander';
import type { RaceOptions, RaceResult } from '../../../bench/scenarios/race.ts';
import { foundSomethingWrong } from '../failure.ts';
import { wholeNumber, withExample, withJson } from '../options.ts';
import { paint, printFields, printJson } from '../output.ts';
import { withPhases } from './phases.ts';
import { printDurations } from './table.ts';

type Arguments = Omit<RaceOptions, 'onPhase'> & { readonly json?: boolean };

export function raceCommand(): Command {
  const race = new Command('race')
    .description('buyers at the same moment buy the last unit of a product, again and again')
    .option('--buyers <number>', 'how many there are', wholeNumber(2, 1000), 64)
    .option('--races <number>', 'how often, each time for another product', wholeNumber(1, 100_000), 1000)
    .action(run);
  return withExample(withJson(race), 'bench race --buyers 64 --races 1000');
}

async function run({ json, ...options }: Arguments): Promise<void> {
  const { benchRace } = await import('../../../bench/scenarios/race.ts');
  const result = await withPhases((onPhase) => benchRace({ ...options, onPhase }));
  if (!isRight(result)) foundSomethingWrong();
  if (json) printJson(result);
  else print(result);
}

function isRight(result: RaceResult): boolean {
  const { won_by_one, races, lost_otherwise, losers_paid_minor, ledger_balanced, stock_wrong } = result;
  return won_by_one === races && lost_otherwise + losers_paid_minor + stock_wrong === 0 && ledger_balanced;
}

function print(result: RaceResult): void {
  const { races, buyers, won_by_one, won_by_none, won_by_several } = result;
  console.log(paint('bold', `${won_by_one} of ${races} races of ${buyers} buyers were won by exactly one`));
  printDurations({ 'to the end of a purchase': result.purchase_ms });
  printFields({
    'won by': `none ${won_by_none}, several ${won_by_several}`,
    losers: `paid ${result.losers_paid_minor} minor units in all; ${result.lost_otherwise} lost for another reason than the stock`,
    ledger: result.ledger_balanced ? 'balanced: every wallet, and the sum of all accounts' : 'NOT BALANCED',
    stock: result.stock_wrong === 0 ? 'of each product exactly what was sold is gone' : `${result.stock_wrong} WRONG`,
    versions: `commit ${result.commit}, Node ${result.node}, PostgreSQL ${result.postgres}`,
  });
}
