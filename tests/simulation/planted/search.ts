import { parseArgs } from 'node:util';
import { shrink } from '../shrink.ts';
import { simulate } from '../simulation.ts';

// Simulates seed after seed until one finds something: prints how many it took, what it found, and the sizes of the history
// before and after it was shrunk, as JSON.

const { values } = parseArgs({
  options: { seeds: { type: 'string' }, payments: { type: 'string' }, 'shrink-ms': { type: 'string', default: '0' } },
});
const payments = Number(values.payments);

async function search(): Promise<unknown> {
  for (let seed = 1; seed <= Number(values.seeds); seed++) {
    const report = await simulate({ seed, payments }).catch((error: Error) => error);
    if (report instanceof Error) return { seeds: seed, finding: `the simulation ended with ${report.message}` };
    const [finding] = report.findings;
    if (finding === undefined) continue;
    const { operations, faults } = await shrink(report, Number(values['shrink-ms']));
    const before = { operations: report.operations, faults: report.happened.length };
    return { seeds: seed, finding, before, after: { operations: operations.length, faults: faults.length } };
  }
  return null;
}

console.log(JSON.stringify(await search()));
