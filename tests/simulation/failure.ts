import { sourceVersions } from '../../bench/harness/versions.ts';
import { type Shrunk, shrink } from './shrink.ts';
import type { SimulationReport } from './simulation.ts';

/** A simulation that found something, and how to look at it. */
export interface Failure {
  readonly seed: number;
  readonly payments: number;
  /** The commit that was simulated; see `Source`. */
  readonly commit: string;
  readonly findings: readonly string[];
  readonly shortest: Shrunk;
}

/** Lines of the shortest history that are shown. */
const LINES_SHOWN = 200;

/** @param limitMs how long to look for a shorter history */
export async function explain(report: SimulationReport, limitMs: number): Promise<Failure> {
  const { seed, payments, findings } = report;
  const { commit } = await sourceVersions();
  return { seed, payments, commit, findings, shortest: await shrink(report, limitMs) };
}

/** A failure for a person to read. */
export function describeFailure({ seed, payments, commit, findings, shortest }: Failure): string {
  const { operations, faults, lines, attempts } = shortest;
  return [
    `Seed ${seed} with ${payments} payments, commit ${commit}:`,
    ...findings.map((finding) => `  ${finding}`),
    '',
    `The shortest history that breaks the same, after ${attempts} simulations: ${operations.length} operations, ${faults.length} faults`,
    ...shortest.findings.map((finding) => `  ${finding}`),
    ...operations.map((operation) => `  asked: ${operation}`),
    ...faults.map((fault) => `  fault: ${fault}`),
    '',
    ...lines.slice(-LINES_SHOWN),
    '',
    `Again: bin/caudal simulate --seed ${seed} --payments ${payments} --log history.txt`,
  ].join('\n');
}
