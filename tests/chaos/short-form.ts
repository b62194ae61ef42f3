import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { openFolder } from '../support/data-folder.ts';
import { runCampaign } from './campaign.ts';
import type { Setting } from './plan.ts';
import { recoveryTable } from './report.ts';
import type { World } from './world.ts';

interface Size {
  readonly requestsPerSecond: number;
  /** As many disasters as strike in this time, milliseconds. Default: each, and a few two at a time. */
  readonly strikeMs?: number;
}

const COMBINATIONS = 3;
const LEAST_PAYMENTS = 100;
const LIMIT_MS = 12 * 60_000;

/** `CHAOS_SEED=… npm test -- --only tests/chaos` does again what a run that failed did. */
const seed = Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000);

/** Declares the test: disasters under load, with an audit at the end. */
export function shortForm<Where extends World>(what: string, setting: Setting<Where>, size: Size): void {
  const { strikeMs } = size;
  const which = strikeMs === undefined ? 'every disaster' : `${strikeMs / 1000} s of disasters`;
  const name = `${which} to ${what}, under load: nothing lost, nothing doubled, the ledger at zero; CHAOS_SEED=${seed}`;
  test(name, { timeout: LIMIT_MS }, async (t) => {
    const dataDir = await openFolder();
    const started = performance.now();
    const log = (line: string) => {
      const timed = `${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s  ${line}`;
      console.log(timed);
      appendFileSync(join(dataDir, 'campaign.log'), `${timed}\n`);
    };
    log(`CHAOS_SEED=${seed}`);
    t.diagnostic(`CHAOS_SEED=${seed}: ${what}`);
    const again = () => false;
    const verdict = await runCampaign({ dataDir, setting, seed, ...size, combinations: COMBINATIONS, again, log });
    console.log(recoveryTable(verdict.recoveries));
    assert.deepEqual(verdict.findings, [], `the data and the logs are left in ${dataDir}`);
    assert.ok(verdict.payments > LEAST_PAYMENTS, 'there was hardly any load');
    for (const [group, reason] of verdict.missing)
      await t.test(`disasters of the ${group}: ${reason}`, (left) => left.skip(reason));
    await rm(dataDir, { recursive: true });
  });
}
