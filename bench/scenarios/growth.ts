import type { Sql } from '#kernel/postgres/sql.ts';
import { checkBooks, countWindow, PAYMENTS_MADE } from '../harness/books.ts';
import { startLoad } from '../harness/load.ts';
import { type BenchServer, withBenchServer } from '../harness/server.ts';
import { type Versions, versions } from '../harness/versions.ts';
import { CURRENCY, customersOf, openWallets } from '../harness/wallets.ts';
import { measureWindow, type OnPhase, untilFilled, untilFinished } from '../harness/window.ts';
import type { Percentiles } from '../load/histogram.ts';

export interface GrowthOptions {
  /** How many events the store holds when each rate is measured, rising. */
  readonly at: readonly number[];
  readonly seconds: number;
  /** The load runs so long before each measurement. */
  readonly warmUp: number;
  readonly connections: number;
  readonly wallets: number;
  readonly onPhase: OnPhase;
}

/** What was measured at one size of the store. */
export interface GrowthLevel {
  readonly at: number;
  /** In the store when the load of this level came to its size: a little more than `at`. */
  readonly events_before: number;
  /** Payments that reached their final status within the time measured. */
  readonly payments_per_second: number;
  /** To the first level's. */
  readonly ratio: number;
  readonly events_per_second: number;
  /** From sending a payment until its acceptance is answered; milliseconds, as clients saw it. */
  readonly post_ms: Percentiles;
  /** From acceptance to the final status, by the server's clock, of every payment. */
  readonly completion_by_server_ms: Percentiles;
  /** Tables, indexes and all, MiB, after the level. */
  readonly database_mb: number;
  readonly rss_mb: number | undefined;
  readonly errors: number;
}

export interface GrowthResult extends Versions {
  readonly levels: readonly GrowthLevel[];
  readonly acknowledged: number;
  readonly unfinished: number;
  readonly ledger_balanced: boolean;
  readonly seconds: number;
  readonly connections: number;
  readonly wallets: number;
}

const SAMPLE_EVERY = 50;
const MIB = 1024 * 1024;

/**
 * The rates of `bench payments` on one store as it grows, by one server that is never started again: at each size the same
 * load runs, through filling and warming up, into the time measured. At the end all balances are compared with the payments.
 */
export function benchGrowth(options: GrowthOptions): Promise<GrowthResult> {
  const { onPhase, seconds, connections, wallets } = options;
  return withBenchServer({ onPhase }, async (server) => {
    const customers = customersOf(wallets);
    onPhase(`opening ${wallets} wallets`);
    const opening = await openWallets(server.url, customers);
    const levels: GrowthLevel[] = [];
    let total = { acknowledged: 0, unfinished: 0 };
    for (const at of options.at) {
      const { level, ...counts } = await measureAt(server, at, customers, total.acknowledged, options);
      total = counts;
      levels.push({ ...level, ratio: ratioTo(levels[0], level.payments_per_second) });
    }
    onPhase('checking every balance');
    const { balanced } = await checkBooks(server.database.pool, opening);
    const ledger_balanced = balanced && total.unfinished === 0;
    return {
      ...{ levels, ...total, ledger_balanced, seconds, connections, wallets },
      ...(await versions(server.database.pool)),
    };
  });
}

async function measureAt(
  server: BenchServer,
  at: number,
  customers: readonly string[],
  acknowledgedBefore: number,
  { connections, seconds, warmUp, onPhase }: GrowthOptions,
) {
  const { pool } = server.database;
  const tell = (phase: string): void => onPhase(`at ${at} events: ${phase}`);
  const plan = { method: 'wallet', hot: 0, customers, currency: CURRENCY } as const;
  const load = startLoad({ port: server.port, connections, sampleEvery: SAMPLE_EVERY, plan });
  try {
    const events_before = await untilFilled(server, at, tell);
    const window = await measureWindow(server, load, { seconds, warmUpMs: warmUp * 1000, onPhase: tell });
    const { report, from, to, rssMb } = window;
    const acknowledged = acknowledgedBefore + report.acknowledged;
    tell('waiting for the last payments');
    const { unfinished } = await untilFinished(server, PAYMENTS_MADE, acknowledged);
    const { completed, p50, p95, p99 } = await countWindow(pool, PAYMENTS_MADE, from, to);
    const level = {
      at,
      events_before,
      payments_per_second: Math.round(completed / ((to - from) / 1000)),
      events_per_second: window.eventsPerSecond,
      post_ms: report.post,
      completion_by_server_ms: { p50, p95, p99 },
      database_mb: await databaseMib(pool),
      rss_mb: rssMb,
      errors: report.errors,
    };
    return { level, acknowledged, unfinished };
  } finally {
    load.kill();
  }
}

function ratioTo(first: GrowthLevel | undefined, rate: number): number {
  return first === undefined ? 1 : Math.round((rate / first.payments_per_second) * 1000) / 1000;
}

async function databaseMib(sql: Sql): Promise<number> {
  const rows = await sql.query<{ bytes: number }>('SELECT pg_database_size(current_database()) AS bytes');
  return Math.round(rows[0]!.bytes / MIB);
}
