import { appendFileSync, writeFileSync } from 'node:fs';
import { Command } from 'commander';
import type { SimulationReport } from '../../../tests/simulation/simulation.ts';
import { foundSomethingWrong } from '../failure.ts';
import { wholeNumber, withExample, withJson } from '../options.ts';
import { printFields, printJson, printTable } from '../output.ts';
import { createProgress } from '../progress.ts';

interface Arguments {
  readonly seed?: number;
  readonly seeds: number;
  readonly payments: number;
  readonly log?: string;
  readonly shrinkSeconds: number;
  readonly json?: boolean;
}

const MOST_SEEDS = 2 ** 31;

export function createCommand(): Command {
  const simulate = new Command('simulate')
    .option(
      '--seed <number>',
      'what follows from chance follows from this; any, when absent',
      wholeNumber(0, MOST_SEEDS),
    )
    .option('--seeds <number>', 'how many seeds, one after another', wholeNumber(1, 1_000_000), 1)
    .option('--payments <number>', 'how many payments, each with what belongs to it', wholeNumber(1, 10_000_000), 1000)
    .option('--log <file>', 'write every line of the history there')
    .option(
      '--shrink-seconds <number>',
      'when something was found: how long to look for a shorter history of it',
      wholeNumber(0, 86_400),
      60,
    )
    .addHelpText(
      'after',
      '\nThe real services run over a store, a bus and a gateway in memory, in virtual time, while processes crash, commits get' +
        '\nlost and clocks jump. The money is checked after every step; then all is healed, and everything must come to its end.' +
        '\nThe same seed does the same, to the byte. What is found is shown with the shortest history that leads to it.',
    );
  return withExample(withJson(simulate), 'simulate --seed 1 --payments 10000', 'simulate --seeds 200').action(run);
}

async function run({ json, seeds, payments, log, shrinkSeconds, seed = anySeed() }: Arguments): Promise<void> {
  const { simulate } = await import('../../../tests/simulation/simulation.ts');
  if (log !== undefined) writeFileSync(log, '');
  const onLine = log === undefined ? {} : { onLine: (line: string) => appendFileSync(log, `${line}\n`) };
  const progress = createProgress('Simulating', seeds, 'seeds');
  const reports: SimulationReport[] = [];
  for (let i = 0; i < seeds; i++) {
    reports.push(await simulate({ seed: seed + i, payments, ...onLine }));
    progress.update(i + 1);
    if (reports[i]!.findings.length > 0) break;
  }
  progress.stop();
  const failed = reports.find(({ findings }) => findings.length > 0);
  const { describeFailure, explain } = await import('../../../tests/simulation/failure.ts');
  const failure = failed === undefined ? undefined : await explain(failed, shrinkSeconds * 1000);
  if (failure !== undefined) foundSomethingWrong();
  if (json) {
    const simulations = reports.map(({ lines: _lines, happened: _happened, ...report }) => report);
    printJson({ simulations, failure: failure ?? null });
    return;
  }
  printReport(reports, payments);
  if (failure !== undefined) console.log(`\n${describeFailure(failure)}`);
}

function anySeed(): number {
  return Math.floor(Math.random() * MOST_SEEDS);
}

function printReport(reports: readonly SimulationReport[], payments: number): void {
  const [first] = reports;
  const total = (what: (report: SimulationReport) => number): number =>
    reports.reduce((sum, each) => sum + what(each), 0);
  printFields({
    seeds: reports.length === 1 ? first!.seed : `${first!.seed} to ${reports.at(-1)!.seed}`,
    payments: `${payments} each`,
    processes: reports.length === 1 ? first!.processes : undefined,
    steps: total(({ steps }) => steps),
    events: total(({ events }) => events),
    'virtual time': `${Math.round(total(({ virtualMs }) => virtualMs) / 1000)} s, ${Math.round(total(({ healingMs }) => healingMs) / 1000)} s of it after all was healed`,
    history: reports.length === 1 ? `sha256 ${first!.digest}` : undefined,
  });
  printCounts('FAULT', sumOf(reports.map(({ faults }) => faults)));
  printCounts('STATUS', sumOf(reports.map(({ statuses }) => statuses)));
}

function printCounts(title: string, counts: Readonly<Record<string, number>>): void {
  console.log();
  printTable(
    Object.entries(counts).sort((a, b) => b[1] - a[1]),
    [
      { title, value: ([name]) => name },
      { title: 'TIMES', value: ([, times]) => times, align: 'right' },
    ],
    `no ${title.toLowerCase()}`,
  );
}

function sumOf(all: readonly Readonly<Record<string, number>>[]): Readonly<Record<string, number>> {
  const sums: Record<string, number> = {};
  for (const counts of all) for (const [name, n] of Object.entries(counts)) sums[name] = (sums[name] ?? 0) + n;
  return sums;
}
