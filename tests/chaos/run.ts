import { rm } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { openFolder } from '../support/data-folder.ts';
import { runCampaign } from './campaign.ts';

// The long form of kills.test.ts: node tests/chaos/run.ts --minutes 30 --seed 7

const MINUTE_MS = 60_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    rate: { type: 'string', default: '50' },
    kills: { type: 'string', default: '20' },
  },
});
const started = Date.now();
const log = (line: string): void => console.log(`${((Date.now() - started) / 1000).toFixed(1).padStart(8)} s  ${line}`);
const dataDir = await openFolder();
log(`seed ${values.seed}, data in ${dataDir}`);

const verdict = await runCampaign({
  dataDir,
  seed: Number(values.seed),
  requestsPerSecond: Number(values.rate),
  killsPerRound: Number(values.kills),
  again: () => Date.now() - started < Number(values.minutes) * MINUTE_MS,
  log,
});
for (const finding of verdict.findings) console.log(finding);
const repeated = [...verdict.repeated].map(([status, times]) => `${times} after ${status || 'no answer'}`).join(', ');
log(`${verdict.kills} kills, ${verdict.acknowledged} requests, ${verdict.payments} payments; repeated: ${repeated}`);
if (verdict.findings.length === 0) await rm(dataDir, { recursive: true });
else {
  log(`${verdict.findings.length} findings; the data and servers.log are left in ${dataDir}`);
  process.exitCode = 1;
}
