import { type SimulationOptions, type SimulationReport, simulate } from './simulation.ts';
import { describeOperation, isOpening, type Operation, planWorkload } from './workload.ts';

/** The shortest history found that ends in the same finding. */
export interface Shrunk {
  /** What was asked for besides the opening of the wallets. */
  readonly operations: readonly string[];
  /** What went wrong, each as `name#number`. */
  readonly faults: readonly string[];
  readonly findings: readonly string[];
  readonly lines: readonly string[];
  /** How many simulations it took. */
  readonly attempts: number;
}

/** What of a history is kept. */
interface Part {
  readonly faults: readonly string[];
  readonly operations: readonly Operation[];
}

/**
 * Looks for the shortest history that breaks the same invariant: leaves out faults and operations, by halves and then one
 * by one, as long as the finding stays (delta debugging, Zeller and Hildebrandt 2002).
 *
 * @param failed the report of a simulation that found something
 * @param limitMs stops looking after so long, and gives what it has
 */
export async function shrink(failed: SimulationReport, limitMs: number): Promise<Shrunk> {
  const { seed, payments } = failed;
  const until = performance.now() + limitMs;
  const kind = kindOf(failed);
  let best = failed;
  let attempts = 0;

  const stillFails = async (part: Part): Promise<boolean> => {
    if (performance.now() > until) return false;
    attempts += 1;
    const report = await simulate(optionsOf(seed, payments, part)).catch(() => undefined);
    if (report === undefined || kindOf(report) !== kind) return false;
    best = report;
    return true;
  };

  let part: Part = {
    faults: failed.happened,
    operations: planWorkload(seed, payments).filter((operation) => !isOpening(operation)),
  };
  for (let before = Number.POSITIVE_INFINITY; sizeOf(part) < before; ) {
    before = sizeOf(part);
    const { faults, operations } = part;
    const fewer = await reduce(operations, (some) => stillFails({ faults, operations: withCause(some) }));
    const needed = await reduce(faults, (some) => stillFails({ faults: some, operations: fewer }));
    part = { faults: needed, operations: withCause(fewer) };
  }
  return {
    operations: part.operations.map(describeOperation),
    faults: best.happened,
    findings: best.findings,
    lines: best.lines,
    attempts,
  };
}

function optionsOf(seed: number, payments: number, { faults, operations }: Part): SimulationOptions {
  const kept = new Set(operations.map(describeOperation));
  return {
    seed,
    payments,
    faults: { atMost: new Set(faults) },
    keep: (operation) => isOpening(operation) || kept.has(describeOperation(operation)),
  };
}

/** What a finding is about, without what differs from one history to the next. */
function kindOf({ findings }: SimulationReport): string | undefined {
  return findings[0]?.replace(/[0-9a-f]{8}-[0-9a-f-]{27}|\([^)]*\)|-?\d+/g, '');
}

function sizeOf({ faults, operations }: Part): number {
  return faults.length + operations.length;
}

/** A refund without its payment, or a cancellation without its purchase, would wait for it without end. */
function withCause(operations: readonly Operation[]): readonly Operation[] {
  const kept = new Set(operations);
  return operations.filter((operation) => !('of' in operation) || kept.has(operation.of));
}

/** As few of the items as still fail, in their order: one less and it would not. */
async function reduce<T>(all: readonly T[], fails: (some: readonly T[]) => Promise<boolean>): Promise<readonly T[]> {
  let kept = all;
  if (kept.length > 0 && (await fails([]))) return [];
  for (let size = Math.ceil(kept.length / 2); size > 0 && kept.length > 0; size = Math.floor(size / 2)) {
    for (let at = 0; at < kept.length; ) {
      const rest = [...kept.slice(0, at), ...kept.slice(at + size)];
      if (await fails(rest)) kept = rest;
      else at += size;
    }
  }
  return kept;
}
