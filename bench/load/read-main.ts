import { runClient } from './client.ts';
import type { Outcome } from './connection.ts';
import { createHistogram, type Histogram, percentilesOf } from './histogram.ts';
import type { KindReport, LoadCommand, ReadKind, ReadOptions, ReadReport, WrittenNote } from './protocol.ts';
import { createReadSource, isRight, type PreparedRead } from './read-requests.ts';

// A process of its own, told what to do by the harness: many clients, each with one look-up on its way at a time.

interface Tally {
  readonly histogram: Histogram;
  wrong: number;
}

const KINDS: readonly ReadKind[] = ['balance', 'payment', 'new_payment'];
const OK = 200;

let tallies = newTallies();
let errorKinds: Record<string, number> = {};
let usedBefore = process.cpuUsage();
let source: ReturnType<typeof createReadSource>;
let clients: readonly (() => Promise<void>)[] = [];

function newTallies(): Record<ReadKind, Tally> {
  const tally = (): Tally => ({ histogram: createHistogram(), wrong: 0 });
  return { balance: tally(), payment: tally(), new_payment: tally() };
}

function start(options: ReadOptions): void {
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
  const tally = tallies[read.kind];
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
  const reads = KINDS.reduce((sum, kind) => sum + tallies[kind].histogram.count, 0);
  const errors = Object.values(errorKinds).reduce((sum, count) => sum + count, 0);
  const kinds = Object.fromEntries(KINDS.map((kind) => [kind, reportOf(tallies[kind])])) as ReadReport['kinds'];
  const cpuUsPerRequest = Math.round(((user + system) / Math.max(1, reads)) * 10) / 10;
  return { kinds, errors, errorKinds, cpuUsPerRequest };
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
