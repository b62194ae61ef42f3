import { rm } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { openFolder } from '../support/data-folder.ts';
import { runCampaign } from './campaign.ts';
import { APART, EMBEDDED, onKafka, type Setting } from './plan.ts';
import { recoveryTable } from './report.ts';
import type { World } from './world.ts';

// The long form: node tests/chaos/run.ts --minutes 30 --seed 7. One campaign after the other, each on a store of its own.

const MINUTE_MS = 60_000;
/** Rounds on one store: the disk of some campaigns is small. */
const ROUNDS = 2;
/** How long all brokers of Kafka are away. */
const OUTAGE_MS = 30_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    rate: { type: 'string', default: '50' },
    combinations: { type: 'string', default: '20' },
  },
});
const started = Date.now();
const log = (line: string): void => console.log(`${((Date.now() - started) / 1000).toFixed(1).padStart(8)} s  ${line}`);
const timeIsLeft = () => Date.now() - started < Number(values.minutes) * MINUTE_MS;
const recoveries = new Map<string, readonly number[]>();

/** @returns whether nothing was wrong */
async function campaign<Where extends World>(kind: string, setting: Setting<Where>, seed: number): Promise<boolean> {
  const dataDir = await openFolder();
  log(`${kind}, seed ${seed}, data in ${dataDir}`);
  const verdict = await runCampaign({
    dataDir,
    setting,
    seed,
    requestsPerSecond: Number(values.rate),
    combinations: Number(values.combinations),
    again: (rounds) => rounds < ROUNDS && timeIsLeft(),
    log,
  });
  for (const [name, times] of verdict.recoveries) recoveries.set(name, [...(recoveries.get(name) ?? []), ...times]);
  const repeated = [...verdict.repeated].map(([status, times]) => `${times} after ${status || 'no answer'}`).join(', ');
  log(`${verdict.acknowledged} requests, ${verdict.payments} payments; repeated: ${repeated}`);
  for (const [group, reason] of verdict.missing) log(`LEFT OUT: disasters of the ${group}: ${reason}`);
  if (verdict.findings.length === 0) await rm(dataDir, { recursive: true });
  else log(`${verdict.findings.length} findings; the data and the logs are left in ${dataDir}`);
  return verdict.findings.length === 0;
}

let fine = true;
for (let seed = Number(values.seed); fine && timeIsLeft(); seed++) {
  fine =
    (await campaign('apart', APART, seed)) &&
    (await campaign('embedded', EMBEDDED, seed)) &&
    (await campaign('kafka', onKafka(OUTAGE_MS), seed));
}
console.log(recoveryTable(recoveries));
if (!fine) process.exitCode = 1;
