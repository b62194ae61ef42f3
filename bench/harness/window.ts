import { setTimeout as sleep } from 'node:timers/promises';
import type { Sql } from '#kernel/postgres/sql.ts';
import type { LoadReport } from '../load/protocol.ts';
import { countMade, type Made, type MadeCounts } from './books.ts';
import type { RunningLoad } from './load.ts';
import type { BenchServer } from './server.ts';
import { peakMemoryMib, usageOf } from './usage.ts';

/** Told what is being done, for a person who waits. */
export type OnPhase = (phase: string) => void;

/** What each part used, seconds of processor time or cores. */
export interface Usages {
  /** All of Caudal's own processes. */
  readonly server: number;
  readonly simulator: number;
  readonly postgres: number;
  /** Absent where the log is the bus. */
  readonly kafka?: number;
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
  /** Seconds of processor time. Undefined where the system does not tell. */
  readonly cpuSeconds: Usages | undefined;
  /** The same by the time that it took: cores. */
  readonly cpu: Usages | undefined;
  /** Of the server so far, the sum of its processes. */
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
  const before = usagesOf(server, load.pid);
  const eventsBefore = await countEvents(server.database.pool);
  const from = Date.now();
  load.measure();
  await sleep(seconds * 1000);
  const to = Date.now();
  const events = (await countEvents(server.database.pool)) - eventsBefore;
  const after = usagesOf(server, load.pid);
  const report = await load.stop();
  const took = (to - from) / 1000;
  const cpuSeconds = before && after && mapUsages(after, (seconds, part) => seconds - before[part]!);
  return {
    ...{ from, to, report, cpuSeconds },
    eventsPerSecond: Math.round(events / took),
    cpu: cpuSeconds && mapUsages(cpuSeconds, (seconds) => Math.round((seconds / took) * 100) / 100),
    rssMb: sumOf(server.pids.map(peakMemoryMib)),
  };
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
 * Waits, at most so long, until so many are in the read model and every one is final.
 * @param acknowledged how many there must be; one that is not there at all counts as unfinished
 */
export async function untilFinished({ database }: BenchServer, made: Made, acknowledged: number): Promise<MadeCounts> {
  const deadline = Date.now() + FINISH_LIMIT_MS;
  for (;;) {
    const counts = await countMade(database.pool, made);
    const unfinished = counts.unfinished + Math.max(0, acknowledged - counts.created);
    if (unfinished === 0 || Date.now() > deadline) return { ...counts, unfinished };
    await sleep(LOOK_MS);
  }
}

/** Undefined where the system does not tell. */
function usagesOf({ pids, postgresPid, kafkaPid }: BenchServer, loadPid: number): Usages | undefined {
  const servers = pids.map((pid) => usageOf(pid, postgresPid));
  const server = sumOf(servers.map((usage) => usage?.own));
  const simulator = sumOf(servers.map((usage) => usage?.children));
  const postgres = usageOf(postgresPid);
  const kafka = kafkaPid === undefined ? undefined : usageOf(kafkaPid)?.own;
  const load = usageOf(loadPid)?.own;
  if (server === undefined || simulator === undefined || postgres === undefined || load === undefined) return undefined;
  return {
    ...{ server, simulator, postgres: postgres.own + postgres.children },
    ...(kafka !== undefined && { kafka }),
    load,
  };
}

function mapUsages(usages: Usages, how: (value: number, part: keyof Usages) => number): Usages {
  const entries = Object.entries(usages) as [keyof Usages, number][];
  return Object.fromEntries(entries.map(([part, value]) => [part, how(value, part)])) as unknown as Usages;
}

/** Undefined when one of them is. */
function sumOf(values: readonly (number | undefined)[]): number | undefined {
  return values.reduce((sum, value) => (sum === undefined || value === undefined ? undefined : sum + value), 0);
}
