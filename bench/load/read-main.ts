import { runClient } from './client.ts';
import type { Outcome } from './connection.ts';
import { createHistogram, type Histogram, percentilesOf } from './histogram.ts';
import {
  type KindReport,
  kindsOf,
  type LoadCommand,
  type ReadKind,
  type ReadOptions,
  type ReadReport,
  type WrittenNote,
} from './protocol.ts';
import { createReadSource, isRight, type PreparedRead } from './read-requests.ts';

// A process of its own, told what to do by the harness: many clients, each with one look-up on its way at a time.

interface Tally {
  readonly histogram: Histogram;
  wrong: number;
}

const OK = 200;

let kinds: readonly ReadKind[] = [];
let tallies = newTallies();
let errorKinds: Record<string, number> = {};
let usedBefore = process.cpuUsage();
let source: ReturnType<typeof createReadSource>;
let clients: readonly (() => Promise<void>)[] = [];

function newTallies(): ReadonlyMap<ReadKind, Tally> {
  return new Map(kinds.map((kind) => [kind, { histogram: createHistogram(), wrong: 0 }]));
}

function start(options: ReadOptions): void {
  kinds = kindsOf(options.mix);
  tallies = newTallies();
  source = createReadSource(options);
  const { port } = options;
  const next = source.next;
  clients = Array.from({ length: options.connections }, () => runClient<PreparedRead>({ port, next, settle }));
}

function measure(): void {
  tallies = newTallies();
  errorKinds = {};
  usedBefore = process.cpuUsage();
}

function settle(read: PreparedRead, { status, error, body }: Outcome, ms: number): void {
  const tally = tallies.get(read.kind)!;
  if (status !== OK) fail(error ?? `${read.kind} ${status}`);
  else if (isRight(read, body!)) tally.histogram.record(ms);
  else tally.wrong += 1;
}

function fail(kind: string): void {
  errorKinds[kind] = (errorKinds[kind] ?? 0) + 1;
}

async function stop(): Promise<void> {
  const report = reportNow();
  await Promise.all(clients.map((end) => end()));
  process.send?.(report, () => process.disconnect());
}

function reportNow(): ReadReport {
  const { user, system } = process.cpuUsage(usedBefore);
  const reads = [...tallies.values()].reduce((sum, { histogram }) => sum + histogram.count, 0);
  const errors = Object.values(errorKinds).reduce((sum, count) => sum + count, 0);
  const reports = Object.fromEntries([...tallies].map(([kind, tally]) => [kind, reportOf(tally)]));
  const cpuUsPerRequest = Math.round(((user + system) / Math.max(1, reads)) * 10) / 10;
  return { kinds: reports, errors, errorKinds, cpuUsPerRequest };
}

function reportOf({ histogram, wrong }: Tally): KindReport {
  return { reads: histogram.count, wrong, ...percentilesOf(histogram) };
}

process.on('message', (command: LoadCommand<ReadOptions> | WrittenNote) => {
  if (command.type === 'start') start(command.options);
  else if (command.type === 'measure') measure();
  else if (command.type === 'written') source.written(command.id);
  else void stop();
});
// The harness has its report, or is gone.
process.on('disconnect', () => process.exit());
