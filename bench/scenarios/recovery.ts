import { setTimeout as sleep } from 'node:timers/promises';
import type { Sql } from '#kernel/postgres/sql.ts';
import { type Client, createClient } from '../../src/cli/client.ts';
import { checkBooks, PAYMENTS_MADE } from '../harness/books.ts';
import { fillStore } from '../harness/fill.ts';
import { startRecordedLoad, whenNobodyAnswers } from '../harness/recorded-load.ts';
import { type BenchServer, withBenchServer } from '../harness/server.ts';
import { type Versions, versions } from '../harness/versions.ts';
import { CURRENCY, customersOf, openWallets } from '../harness/wallets.ts';
import { type OnPhase, untilFinished } from '../harness/window.ts';

export interface RecoveryOptions {
  /** The store is filled with so many events first. */
  readonly events: number;
  /** So many kills of each sort. */
  readonly rounds: number;
  /** Clients of the load that runs on through the kill. */
  readonly connections: number;
  readonly wallets: number;
  readonly onPhase: OnPhase;
}

/** What was killed: PostgreSQL goes on by itself, or is killed at the same moment. */
type Killed = 'server' | 'server_and_postgres';

/** Milliseconds of one kill. The new process is started at once: the delay of whoever would do that is not in them. */
export interface RecoveryRound {
  readonly killed: Killed;
  readonly kill_to_accepted_ms: number;
  readonly kill_to_final_ms: number;
  readonly start_to_accepted_ms: number;
  readonly start_to_final_ms: number;
}

export type RecoveryTimes = Omit<RecoveryRound, 'killed'>;

export interface RecoveryResult extends Versions {
  /** In the store, when the first kill came. */
  readonly events: number;
  readonly medians: Readonly<Record<Killed, RecoveryTimes>>;
  readonly slowest: Readonly<Record<Killed, RecoveryTimes>>;
  readonly rounds: readonly RecoveryRound[];
  /** Payments acknowledged around the kills, and those of them that are not there afterwards. */
  readonly acknowledged: number;
  readonly lost: number;
  /** Requests around the kills that failed or were not answered: they may have had an effect or not. */
  readonly unanswered: number;
  readonly unfinished: number;
  readonly ledger_balanced: boolean;
  readonly connections: number;
}

const KINDS: readonly Killed[] = ['server', 'server_and_postgres'];
const FILL_CONNECTIONS = 256;
/** The load runs so long before each kill. */
const LOAD_MS = 1500;
const RETRY_MS = 5;
const RECOVERY_LIMIT_MS = 300_000;
const CREATED = 201;
const IDS_AT_ONCE = 10_000;

/**
 * Kills the server with SIGKILL under load, alone and together with PostgreSQL in turn, starts it again at once, and measures
 * until a client has its first payment accepted, and until that payment has its final status. The load tries to go on all the
 * while. At the end every payment that was acknowledged must be there, every one final, and all balances right.
 */
export function benchRecovery(options: RecoveryOptions): Promise<RecoveryResult> {
  const { onPhase, connections } = options;
  return withBenchServer({ onPhase }, async (server) => {
    const customers = customersOf(options.wallets);
    onPhase(`opening ${customers.length} wallets`);
    const opening = await openWallets(server.url, customers);
    const filled = await fillStore(server, customers, {
      events: options.events,
      connections: FILL_CONNECTIONS,
      onPhase,
    });
    const found = await killAgainAndAgain(server, customers, options);
    onPhase('checking every payment and balance');
    const created = filled.acknowledged + found.acknowledged.length;
    const { unfinished } = await untilFinished(server, PAYMENTS_MADE, created);
    const { pool } = server.database;
    const { balanced } = await checkBooks(pool, opening);
    return {
      events: filled.events,
      medians: byKind(found.rounds, median),
      slowest: byKind(found.rounds, (values) => Math.max(...values)),
      rounds: found.rounds,
      acknowledged: found.acknowledged.length,
      lost: found.acknowledged.length - (await countKnown(pool, found.acknowledged)),
      ...{ unanswered: found.unanswered, unfinished, ledger_balanced: balanced, connections },
      ...(await versions(pool)),
    };
  });
}

async function killAgainAndAgain(server: BenchServer, customers: readonly string[], options: RecoveryOptions) {
  const rounds: RecoveryRound[] = [];
  const acknowledged: string[] = [];
  let unanswered = 0;
  for (let round = 1; round <= options.rounds; round++) {
    for (const killed of KINDS) {
      options.onPhase(`kill ${round} of ${options.rounds}: ${killed.replaceAll('_', ' ')}`);
      const load = startRecordedLoad(server.url, options.connections, customers);
      try {
        await sleep(LOAD_MS);
        const { paymentId, ...times } = await killAndStart(server, killed === 'server_and_postgres', customers[0]!);
        rounds.push({ killed, ...times });
        acknowledged.push(paymentId);
      } finally {
        await load.stop();
      }
      acknowledged.push(...load.acknowledged);
      unanswered += load.failed;
    }
  }
  return { rounds, acknowledged, unanswered };
}

async function killAndStart(server: BenchServer, withPostgres: boolean, customer: string) {
  const killedAt = await server.kill(withPostgres);
  const startedAt = performance.now();
  const started = server.start();
  // Its failure is told by the await below, after that of the client, if that fails too.
  started.catch(() => undefined);
  const client = createClient(server.url, 1);
  try {
    const paymentId = await firstAccepted(client, customer);
    const acceptedAt = performance.now();
    await untilFinal(client, paymentId);
    const finalAt = performance.now();
    await started;
    return {
      paymentId,
      kill_to_accepted_ms: Math.round(acceptedAt - killedAt),
      kill_to_final_ms: Math.round(finalAt - killedAt),
      start_to_accepted_ms: Math.round(acceptedAt - startedAt),
      start_to_final_ms: Math.round(finalAt - startedAt),
    };
  } finally {
    client.close();
  }
}

/** @returns the payment's id */
async function firstAccepted(client: Client, customer_id: string): Promise<string> {
  const body = { amount: 1, currency: CURRENCY, method: 'wallet', customer_id };
  return until('a payment is accepted', async () => {
    const answer = await client.send('POST', '/payments', { body }).catch(whenNobodyAnswers);
    return answer?.status === CREATED ? (answer.body as { id: string }).id : undefined;
  });
}

function untilFinal(client: Client, id: string): Promise<true> {
  return until('the first payment is final', async () => {
    const answer = await client.send('GET', `/payments/${id}`).catch(whenNobodyAnswers);
    const status = answer?.status === 200 ? (answer.body as { status: string }).status : 'PENDING';
    return status === 'PENDING' ? undefined : true;
  });
}

async function until<T>(what: string, attempt: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + RECOVERY_LIMIT_MS;
  for (;;) {
    const found = await attempt();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`${RECOVERY_LIMIT_MS / 1000} s after a kill, not yet: ${what}`);
    await sleep(RETRY_MS);
  }
}

function byKind(
  rounds: readonly RecoveryRound[],
  summary: (values: readonly number[]) => number,
): Record<Killed, RecoveryTimes> {
  const timesOf = (killed: Killed): RecoveryTimes => {
    const of = (time: keyof RecoveryTimes): number =>
      summary(rounds.filter((round) => round.killed === killed).map((round) => round[time]));
    return {
      kill_to_accepted_ms: of('kill_to_accepted_ms'),
      kill_to_final_ms: of('kill_to_final_ms'),
      start_to_accepted_ms: of('start_to_accepted_ms'),
      start_to_final_ms: of('start_to_final_ms'),
    };
  };
  return { server: timesOf('server'), server_and_postgres: timesOf('server_and_postgres') };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const [below, above] = [Math.floor((sorted.length - 1) / 2), Math.floor(sorted.length / 2)];
  return Math.round((sorted[below]! + sorted[above]!) / 2);
}

/** How many of these payments are in the read model. */
async function countKnown(sql: Sql, ids: readonly string[]): Promise<number> {
  let known = 0;
  for (let i = 0; i < ids.length; i += IDS_AT_ONCE) {
    const rows = await sql.query<{ known: number }>(
      'SELECT count(*) AS known FROM payments.saga_projections WHERE payment_id = ANY($1::uuid[])',
      [ids.slice(i, i + IDS_AT_ONCE)],
    );
    known += rows[0]!.known;
  }
  return known;
}
