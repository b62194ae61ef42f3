import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { PLANTED_BUGS } from './bugs.ts';

/** A bug must show within so many seeds of so many payments. */
const SEEDS = 120;
const PAYMENTS = 200;

const run = promisify(execFile);

interface Size {
  readonly operations: number;
  readonly faults: number;
}

interface Found {
  readonly seeds: number;
  readonly finding: string;
  readonly before: Size;
  readonly after: Size;
}

async function searchFor(bug: string, shrinkMs = 0): Promise<Found | null> {
  const [plant, search] = ['plant.ts', 'search.ts'].map((name) => join(import.meta.dirname, name));
  const args = ['--import', plant!, search!, '--seeds', String(SEEDS), '--payments', String(PAYMENTS)];
  args.push('--shrink-ms', String(shrinkMs));
  const { stdout } = await run(process.execPath, args, { env: { ...process.env, PLANTED_BUG: bug } });
  return JSON.parse(stdout);
}

for (const bug of Object.keys(PLANTED_BUGS)) {
  test(`found: ${bug}`, async (t) => {
    const found = await searchFor(bug);
    assert.ok(found !== null, `${SEEDS} seeds did not find it: the simulation is too weak`);
    t.diagnostic(`found by seed ${found.seeds}: ${bug}`);
  });
}

test('a history shrinks to what leads to the finding', async () => {
  const found = await searchFor('a credit is made twice over', 60_000);
  assert.ok(found!.before.operations > PAYMENTS);
  assert.deepEqual(found!.after, { operations: 2, faults: 0 }, 'a payment and its refund are all that it takes');
});
