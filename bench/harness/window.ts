import { setTimeout as sleep } from 'node:timers/promises';
import type { Sql } from '#kernel/postgres/sql.ts';
import type { LoadReport } from '../load/protocol.ts';
import { countPayments, type PaymentCounts } from './books.ts';
import type { RunningLoad } from './load.ts';
import type { BenchServer } from './server.ts';
import { peakMemoryMib, type Usage, usageOf } from './usage.ts';

/** Told what is being done, for a person who waits. */
export type OnPhase = (phase: string) => void;

/** Cores in use while it was measured. */
export interface Cores {
  readonly server: number;
  readonly simulator: number;
  readonly postgres: number;
  readonly load: number;
}

/** What was seen while it was measured. */
export interface MeasuredWindow<Report = LoadReport> {
  /** Milliseconds since 1970. */
  readonly from: number;
  readonly to: number;
  /** Events appended meanwhile, a second. */
  readonly eventsPerSecond: number;
  readonly report: Report;
  /** Undefined where the system does not tell. */
  readonly cpu: Cores | undefined;
  /** Of the server so far. */
  readonly rssMb: number | undefined;
}

export interface WindowOptions {
  readonly warmUpMs: number;
  readonly seconds: number;
  readonly onPhase: OnPhase;
}

const LOOK_MS = 100;
const STALL_LIMIT_MS = 60_000;
const FINISH_LIMIT_MS = 120_000;

/** Lets the load run warm, measures it for a time, and ends it. */
export async function measureWindow<Report>(
  server: BenchServer,
  load: RunningLoad<Report>,
  { warmUpMs, seconds, onPhase }: WindowOptions,
): Promise<MeasuredWindow<Report>> {
  onPhase('warming up');
  await sleep(warmUpMs);
  onPhase(`measuring for ${seconds} s`);
  const before = allUsage(server, load);
  const eventsBefore = await countEvents(server.database.pool);
  const from = Date.now();
  load.measure();
  await sleep(seconds * 1000);
  const to = Date.now();
  const events = (await countEvents(server.database.pool)) - eventsBefore;
  const after = allUsage(server, load);
  const report = await load.stop();
  const took = (to - from) / 1000;
  const cpu = coresBetween(before, after, took);
  return { from, to, eventsPerSecond: Math.round(events / took), report, cpu, rssMb: peakMemoryMib(server.pid) };
}

export async function countEvents(sql: Sql): Promise<number> {
  const rows = await sql.query<{ events: number }>(
    'SELECT coalesce(sum(position), 0)::bigint AS events FROM event_chains',
  );
  return rows[0]!.events;
}

/**
 * Waits until a load has filled the store.
 * @returns how many events it holds
 * @throws Error when nothing comes in any more
 */
export async function untilFilled({ database }: BenchServer, wanted: number, onPhase: OnPhase): Promise<number> {
  let events = -1;
  let grewAt = Date.now();
  for (;;) {
    const now = await countEvents(database.pool);
    if (now >= wanted) return now;
    if (now > events) grewAt = Date.now();
    events = now;
    if (Date.now() - grewAt > STALL_LIMIT_MS) {
      throw new Error(`the store stands at ${events} of ${wanted} events for ${STALL_LIMIT_MS / 1000} s`);
    }
    onPhase(`filling the store: ${events} of ${wanted} events`);
    await sleep(LOOK_MS);
  }
}

/**
 * Waits, at most so long, until so many payments are in the read model and every one is final.
 * @param acknowledged how many there must be; one that is not there at all counts as unfinished
 */
export async function untilFinished({ database }: BenchServer, acknowledged: number): Promise<PaymentCounts> {
  const deadline = Date.now() + FINISH_LIMIT_MS;
  for (;;) {
    const payments = await countPayments(database.pool);
    const unfinished = payments.unfinished + Math.max(0, acknowledged - payments.created);
    if (unfinished === 0 || Date.now() > deadline) return { ...payments, unfinished };
    await sleep(LOOK_MS);
  }
}

interface AllUsage {
  readonly server: Usage | undefined;
  readonly postgres: Usage | undefined;
  readonly load: Usage | undefined;
}

function allUsage(server: BenchServer, load: { readonly pid: number }): AllUsage {
  return {
    server: usageOf(server.pid, server.postgresPid),
    postgres: usageOf(server.postgresPid),
    load: usageOf(load.pid),
  };
}

function coresBetween(before: AllUsage, after: AllUsage, seconds: number): Cores | undefined {
  if (before.server === undefined || before.postgres === undefined || before.load === undefined) return undefined;
  const cores = (from: number, to: number | undefined): number =>
    Math.round((((to ?? from) - from) / seconds) * 100) / 100;
  return {
    server: cores(before.server.own, after.server?.own),
    simulator: cores(before.server.children, after.server?.children),
    postgres: cores(
      before.postgres.own + before.postgres.children,
      after.postgres && after.postgres.own + after.postgres.children,
    ),
    load: cores(before.load.own, after.load?.own),
  };
}
