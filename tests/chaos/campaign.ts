import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { verifyStore } from '#kernel/event-store/postgres/verify.ts';
import { startEmbeddedPostgres } from '#kernel/postgres/embedded.ts';
import { createPool, type Pool } from '#kernel/postgres/pool.ts';
import { createRandom, type Random } from '../support/random.ts';
import { audit, settle } from './auditor.ts';
import { type Book, createBook } from './book.ts';
import { type Client, createClient } from './client.ts';
import { gatherEvidence, type ShownPayment } from './evidence.ts';
import { createHarness, type Harness } from './harness.ts';
import { KILLS, type Scene } from './kills.ts';
import { createLoad, type Load } from './load.ts';
import { postgresOf, signal } from './processes.ts';

const GOES_ON_LIMIT_MS = 90_000;
const GOES_ON_POLL_MS = 100;
const LEAST_LOAD_MS = 200;
const MOST_LOAD_MS = 2500;

export interface CampaignSettings {
  /** An empty folder; it is left as it is afterwards. */
  readonly dataDir: string;
  readonly seed: number;
  readonly requestsPerSecond: number;
  /** Kills between two audits. */
  readonly killsPerRound: number;
  /** Another round begins while this is true; there is at least one. */
  readonly again: (rounds: number) => boolean;
  /** Told what is done, one line each. */
  readonly log: (line: string) => void;
}

export interface Verdict {
  readonly kills: number;
  /** Requests that were answered for good. */
  readonly acknowledged: number;
  readonly payments: number;
  /** How often clients had to come again, by the status of the answer; 0: none. */
  readonly repeated: ReadonlyMap<number, number>;
  /** All that was wrong; empty when nothing was lost and nothing doubled. */
  readonly findings: readonly string[];
}

interface Stage {
  readonly settings: CampaignSettings;
  readonly harness: Harness;
  readonly client: Client;
  readonly book: Book;
  readonly load: Load;
  readonly random: Random;
  readonly findings: string[];
}

/** Rounds of kills under load, each with an audit of everything at its end. */
export async function runCampaign(settings: CampaignSettings): Promise<Verdict> {
  const random = createRandom(settings.seed);
  const harness = await createHarness(settings.dataDir);
  const client = createClient(() => harness.servers.map(({ url }) => url));
  const book = createBook();
  const { requestsPerSecond } = settings;
  const load = createLoad({ client, book, random: createRandom(settings.seed + 1), requestsPerSecond });
  const stage: Stage = { settings, harness, client, book, load, random, findings: [] };
  let rounds = 0;
  try {
    await harness.ready(harness.start());
    await load.open();
    do {
      rounds += 1;
      await runRound(stage);
    } while (stage.findings.length === 0 && settings.again(rounds));
    await stopAll(stage);
  } catch (error) {
    stage.findings.push((error as Error).message);
  } finally {
    load.abandon();
    stage.findings.push(...harness.crashes);
    await harness.close();
    signal(await postgresOf(settings.dataDir), 'SIGKILL');
  }
  return {
    kills: rounds * settings.killsPerRound,
    acknowledged: book.acknowledged.length,
    payments: book.accepted('payment').length,
    repeated: client.repeated,
    findings: stage.findings,
  };
}

async function runRound(stage: Stage): Promise<void> {
  const { harness, load, random, settings } = stage;
  load.start();
  for (const name of plan(settings.killsPerRound, random)) {
    await sleep(random.between(LEAST_LOAD_MS, MOST_LOAD_MS));
    settings.log(`${stage.book.acknowledged.length} requests acknowledged: ${name}`);
    await KILLS[name]!(sceneOf(stage));
  }
  for (const server of harness.servers) await harness.ready(server);
  await load.stop();
  await inspect(stage);
}

/** As many kills as wanted, each way as often as the others, in random order. */
function plan(count: number, random: Random): readonly string[] {
  const ways = Object.keys(KILLS);
  const planned: string[] = [];
  while (planned.length < count) planned.push(...random.shuffle(ways));
  return planned.slice(0, count);
}

function sceneOf(stage: Stage): Scene {
  const { harness, random, findings } = stage;
  return { harness, random, report: (finding) => findings.push(finding), goesOn: () => goesOn(stage) };
}

let probes = 0;

/** Makes a payment and waits for its end. @throws Error when it does not come */
async function goesOn({ client, book, findings, harness }: Stage): Promise<void> {
  const deadline = Date.now() + GOES_ON_LIMIT_MS;
  const overdue = () => Date.now() > deadline || harness.crashes.length > 0;
  const key = `probe-${probes++}`;
  const body = { amount: '0.01', currency: 'USD', method: 'wallet', customer_id: 'user-0', metadata: { key } };
  const request = { key, path: '/payments', body };
  const operation = { kind: 'payment', request, userId: 'user-0', amountMinor: 1, method: 'wallet' } as const;
  const answer = await client.send(request, overdue);
  if (answer === undefined) throw new Error('no payment was accepted after the kill');
  book.note(operation, answer);
  for (;;) {
    const { status, reason } = await paymentAt(client, answer.body.id!);
    if (status === 'FAILED') findings.push(`a payment after the kill was given up: ${reason}`);
    if (status !== 'PENDING') return;
    if (overdue()) throw new Error(`payment ${answer.body.id} has no final status after the kill`);
    await sleep(GOES_ON_POLL_MS);
  }
}

async function paymentAt(client: Client, id: string): Promise<Pick<ShownPayment, 'status' | 'reason'>> {
  try {
    return await client.get<ShownPayment>(`/payments/${id}`);
  } catch {
    // It may be out of reach for a moment yet; the limit of the caller ends the wait.
    return { status: 'PENDING', reason: null };
  }
}

/** Waits until all is final, then compares everything with everything. */
async function inspect(stage: Stage): Promise<void> {
  const { harness, client, book, load, findings, settings } = stage;
  settings.log(`${book.acknowledged.length} requests acknowledged: waiting until every payment is final`);
  findings.push(...load.unanswered.map((key) => `${key} was never answered`));
  findings.push(...[...client.complaints].map(([what, times]) => `a client was answered ${what}, ${times} times`));
  await withDatabase(settings.dataDir, async (sql) => {
    const open = await settle(sql);
    findings.push(...open.map((what) => `not final: ${what}`));
    findings.push(...audit(book, await gatherEvidence(client, sql, harness.dataDir)));
    findings.push(...(await verifyStore(sql)).map(({ message }) => `verify: ${message}`));
  });
  settings.log(`audit: ${findings.length} findings`);
}

async function withDatabase(dataDir: string, work: (sql: Pool) => Promise<void>): Promise<void> {
  const log = { info: () => undefined, warn: console.warn, error: console.error };
  const postgres = await startEmbeddedPostgres({ dataDir: join(dataDir, 'postgres'), log });
  const settings = { url: postgres.url, applicationName: 'auditor', maxConnections: 2, statementTimeoutMs: 60_000 };
  const pool = createPool(settings, (error) => console.warn(error.message));
  try {
    await work(pool);
  } finally {
    await pool.close();
    await postgres.stop();
  }
}

async function stopAll({ harness, findings, settings }: Stage): Promise<void> {
  for (const server of harness.servers) {
    const ended = await harness.stop(server);
    if (ended !== 'code 0') findings.push(`the last stop ended with ${ended}`);
  }
  const left = await postgresOf(settings.dataDir);
  if (left.length > 0) findings.push(`PostgreSQL still runs after the last stop: ${left}`);
}
