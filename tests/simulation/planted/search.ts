import { parseArgs } from 'node:util';
import { simulate } from '../simulation.ts';

// Simulates seed after seed until one finds something: prints how many it took and what it found, as JSON.

const { values } = parseArgs({ options: { seeds: { type: 'string' }, payments: { type: 'string' } } });
const payments = Number(values.payments);

let found: { readonly seeds: number; readonly finding: string } | undefined;
for (let seed = 1; seed <= Number(values.seeds) && found === undefined; seed++) {
  const finding = await simulate({ seed, payments }).then(
    ({ findings }) => findings[0],
    (error: Error) => `the simulation ended with ${error.message}`,
  );
  if (finding !== undefined) found = { seeds: seed, finding };
}
console.log(JSON.stringify(found ?? null));
