import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { createPool } from '#kernel/postgres/pool.ts';
import { createRandom, type Random } from '../support/random.ts';
import { until } from '../support/until.ts';
import { audit, givenUp, settle } from './auditor.ts';
import { type Book, createBook } from './book.ts';
import { type Client, createClient } from './client.ts';
import type { Mend, Scene } from './disasters/disaster.ts';
import { gatherEvidence } from './evidence.ts';
import { startGuardian } from './guardian.ts';
import { createHarness, type Harness } from './harness.ts';
import { createLoad, type Load } from './load.ts';
import { type Blow, planRound, type Setting } from './plan.ts';
import { createProbe, type Probe } from './probe.ts';
import { freePorts } from './processes.ts';
import { verify } from './verify.ts';
import { within } from './within.ts';
import type { World } from './world.ts';

const LEAST_LOAD_MS = 100;
const MOST_LOAD_MS = 600;
/** How long each part of a campaign may take; far more than it does. */
const OPEN_LIMIT_MS = 180_000;
const BLOW_LIMIT_MS = 240_000;
const AUDIT_LIMIT_MS = 360_000;
const CLOSE_LIMIT_MS = 120_000;

export interface CampaignSettings<Where extends World> {
  /** An empty folder; it is left as it is afterwards. */
  readonly dataDir: string;
  readonly setting: Setting<Where>;
  readonly seed: number;
  readonly requestsPerSecond: number;
  /** Blows of two disasters at once, in each round. */
  readonly combinations: number;
  /** Disasters of a round strike for so long, milliseconds. Default: until each has. */
  readonly strikeMs?: number;
  /** Another round begins while this is true; there is at least one. */
  readonly again: (rounds: number) => boolean;
  /** Told what is done, one line each. */
  readonly log: (line: string) => void;
}

/** Milliseconds from the moment that nothing was broken any more until a payment sent then was accepted, for each time, by disaster. */
export type Recoveries = ReadonlyMap<string, readonly number[]>;

export interface Verdict {
  readonly recoveries: Recoveries;
  /** Requests that were answered for good. */
  readonly acknowledged: number;
  readonly payments: number;
  /** How often clients had to come again, by the status of the answer; 0: none. */
  readonly repeated: ReadonlyMap<number, number>;
  /** Disasters that were left out, by group, with the reason. */
  readonly missing: ReadonlyMap<string, string>;
  /** All that was wrong; empty when nothing was lost and nothing doubled. */
  readonly findings: readonly string[];
}

interface Stage<Where extends World> {
  readonly settings: CampaignSettings<Where>;
  readonly world: Where;
  readonly harness: Harness;
  readonly client: Client;
  readonly book: Book;
  readonly load: Load;
  readonly probe: Probe;
  readonly random: Random;
  readonly findings: string[];
  readonly recoveries: Map<string, number[]>;
}

/** Rounds of disasters under load, each with an audit of everything at its end. */
export async function runCampaign<Where extends World>(settings: CampaignSettings<Where>): Promise<Verdict> {
  const guardian = startGuardian(settings.dataDir);
  let harness: Harness | undefined;
  const serverPorts = () => harness?.asked.map(({ port }) => port) ?? [];
  const { dataDir } = settings;
  const opening = settings.setting.open({ dataDir, serverPorts, guardian });
  const world = await within(OPEN_LIMIT_MS, 'starting PostgreSQL and the gateway simulator', opening);
  let keep = true;
  try {
    const ports = await freePorts(world.places);
    harness = await createHarness({ dataDir, world, ports, guardian });
    const verdict = await runOn(settings, world, harness);
    keep = verdict.findings.length > 0;
    return verdict;
  } finally {
    await within(CLOSE_LIMIT_MS, 'ending the servers', harness?.close() ?? Promise.resolve());
    await within(CLOSE_LIMIT_MS, 'ending PostgreSQL and the gateway simulator', world.close(keep));
    guardian.close();
  }
}

async function runOn<Where extends World>(
  settings: CampaignSettings<Where>,
  world: Where,
  harness: Harness,
): Promise<Verdict> {
  const client = createClient(() => harness.asked.map(({ url }) => url));
  const book = createBook();
  const { seed, requestsPerSecond } = settings;
  const load = createLoad({ client, book, random: createRandom(seed + 1), requestsPerSecond });
  const probe = createProbe({ client, book, harness });
  const [findings, recoveries] = [[] as string[], new Map<string, number[]>()];
  const random = createRandom(seed);
  const stage = { settings, world, harness, client, book, load, probe, random, findings, recoveries };
  try {
    // The first one makes the tables, and compiles the program for all.
    await harness.ready(harness.start());
    while (harness.servers.length < world.first) harness.start();
    for (const server of harness.servers) await harness.ready(server);
    await within(OPEN_LIMIT_MS, 'opening the wallets', load.open());
    let rounds = 0;
    do {
      rounds += 1;
      await runRound(stage);
    } while (findings.length === 0 && settings.again(rounds));
    await stopAll(stage);
  } catch (error) {
    findings.push(inspect(error));
  } finally {
    load.abandon();
    findings.push(...harness.crashes);
    for (const finding of findings) settings.log(`FOUND: ${finding}`);
  }
  return {
    recoveries,
    acknowledged: book.acknowledged.length,
    payments: book.accepted('payment').length,
    repeated: client.repeated,
    missing: world.missing,
    findings,
  };
}

async function runRound<Where extends World>(stage: Stage<Where>): Promise<void> {
  const { load, random } = stage;
  load.start();
  for (const blow of blowsOf(stage)) {
    await sleep(random.between(LEAST_LOAD_MS, MOST_LOAD_MS));
    // Each has choices of its own, so that one that makes another number of them does not change those after it.
    await deal(stage, blow, createRandom(random.below(2 ** 32)));
  }
  await settled(stage);
  await load.stop();
  await within(AUDIT_LIMIT_MS, 'the audit', compareAll(stage));
}

/** Those of one plan; where there is a time to fill, of as many as it takes. */
function* blowsOf<Where extends World>({ settings, world, random }: Stage<Where>): Generator<Blow<Where>> {
  const { setting, combinations, strikeMs } = settings;
  const overAt = performance.now() + (strikeMs ?? Number.POSITIVE_INFINITY);
  do {
    for (const blow of planRound(setting, world.missing, combinations, random)) {
      if (performance.now() >= overAt) return;
      yield blow;
    }
  } while (strikeMs !== undefined);
}

/** Lets the disasters strike, mends them in reverse order, and sees whether the platform goes on. */
async function deal<Where extends World>(stage: Stage<Where>, blow: Blow<Where>, random: Random): Promise<void> {
  const { settings, harness, book, probe, recoveries } = stage;
  const name = blow.map(([part]) => part).join(' + ');
  await settled(stage);
  if (blow.some(([, { servers }]) => servers === 2) && harness.servers.length < 2) await harness.ready(harness.start());
  const scene = sceneOf(stage, random, blow.length === 1);
  const mends: Mend[] = [];
  const began = performance.now();
  for (const [part, disaster] of blow) mends.unshift(await within(BLOW_LIMIT_MS, part, disaster.strike(scene)));
  for (const mend of mends) await within(BLOW_LIMIT_MS, `mending ${name}`, mend());
  const mended = performance.now();
  const recovery = await probe(`after ${name}`);
  const lasted = Math.round(mended - began);
  settings.log(
    `${book.acknowledged.length} requests: ${name}, for ${lasted} ms; first payment accepted after ${recovery} ms`,
  );
  recoveries.set(name, [...(recoveries.get(name) ?? []), recovery]);
}

function sceneOf<Where extends World>(stage: Stage<Where>, random: Random, alone: boolean): Scene<Where> {
  const { harness, world, client, probe, findings } = stage;
  return {
    harness,
    world,
    random,
    alone,
    report: (finding) => findings.push(finding),
    goesOn: async (through) => void (await probe('meanwhile', through)),
    refusals: () => client.repeated.get(503) ?? 0,
  };
}

/** Waits until nothing is on its way to an end or a start any more. */
async function settled({ harness, world }: Stage<World>): Promise<void> {
  await until('PostgreSQL runs', async () => (await world.postgres()).length > 1);
  for (const server of harness.servers) await harness.ready(server);
}

/** Waits until all is final, then compares everything with everything. */
async function compareAll<Where extends World>(stage: Stage<Where>): Promise<void> {
  const { world, client, book, load, findings, settings } = stage;
  settings.log(`${book.acknowledged.length} requests: waiting until every payment is final`);
  findings.push(...load.unanswered.map((key) => `${key} was never answered`));
  findings.push(...[...client.complaints].map(([what, times]) => `a client was answered ${what}, ${times} times`));
  const database = await world.openDatabase();
  const pool = createPool(
    { url: database.url, applicationName: 'auditor', maxConnections: 2, statementTimeoutMs: 60_000 },
    (error) => settings.log(`the auditor's connection broke: ${error.message}`),
  );
  try {
    const open = await settle(pool);
    findings.push(...open.map((what) => `not final: ${what}`));
    const simulatorUrl = await world.simulatorUrl();
    const evidence = await gatherEvidence(client, pool, simulatorUrl);
    findings.push(...audit(book, evidence));
    if (!world.mayTimeOut) findings.push(...givenUp(evidence));
    findings.push(...(await verify(database.url, simulatorUrl)));
  } finally {
    await pool.close();
    await database.close();
  }
  settings.log(`audit: ${findings.length} findings`);
}

async function stopAll<Where extends World>({ harness, world, findings }: Stage<Where>): Promise<void> {
  for (const server of harness.servers) {
    const ended = await harness.stop(server);
    if (ended !== 'code 0') findings.push(`the last stop ended with ${ended}`);
  }
  findings.push(...(await world.afterLastStop()));
}
