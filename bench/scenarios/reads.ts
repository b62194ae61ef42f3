import { createClient } from '../../src/cli/client.ts';
import { checkBooks, expectedBalances, PAYMENTS_MADE } from '../harness/books.ts';
import { fillStore } from '../harness/fill.ts';
import { startReads } from '../harness/load.ts';
import { type BenchServer, withBenchServer } from '../harness/server.ts';
import { type Versions, versions } from '../harness/versions.ts';
import { customersOf, openWallets } from '../harness/wallets.ts';
import { type MeasuredWindow, measureWindow, type OnPhase, type Usages, untilFinished } from '../harness/window.ts';
import { paymentOf, startWriter, type WriterReport } from '../harness/writer.ts';
import type { KindReport, ReadKind, ReadReport } from '../load/protocol.ts';

export interface ReadsOptions {
  readonly seconds: number;
  readonly connections: number;
  /** The share of look-ups, 0 to 1, that ask for a balance. */
  readonly mix: number;
  readonly writesPerSecond: number;
  readonly wallets: number;
  /** The store is filled with so many events by payments before, and the payments looked up are of these. */
  readonly preloadEvents: number;
  readonly onPhase: OnPhase;
}

/** Durations are milliseconds, from sending a request until its whole answer is there. */
export interface ReadsResult extends Versions {
  /** Right answers, of all kinds, a second. */
  readonly reads_per_second: number;
  readonly kinds: KindFigures;
  /** Look-ups that were answered with another status than 200, or not at all. */
  readonly errors: number;
  readonly error_kinds: Readonly<Record<string, number>>;
  /** Answers of the wrong shape or about something else. */
  readonly wrong: number;
  /** The payments made meanwhile; durations from the moment each was due. */
  readonly writes: WriterReport & { readonly wanted_per_second: number; readonly accepted_per_second: number };
  /** Afterwards: balances asked for by the API, and those that are not what the books say. */
  readonly balances_compared: number;
  readonly balances_wrong: number;
  readonly ledger_balanced: boolean;
  readonly seconds: number;
  readonly connections: number;
  readonly mix: number;
  readonly events_before: number;
  readonly cpu: Usages | undefined;
  readonly load_us_per_request: number;
}

/** Of each kind of look-ups, and how many there were a second. */
export type KindFigures = Readonly<Partial<Record<ReadKind, KindReport & { readonly per_second: number }>>>;

const FILL_CONNECTIONS = 64;
const WARM_UP_MS = 2000;
/** Payments that are looked up, spread over all that there are. */
const LOOKED_UP = 10_000;
const COMPARED = 100;

/**
 * Balances and payments looked up as fast as so many connections can, each with one look-up on its way, while payments are
 * made at a steady rate. Every answer is checked. Afterwards all balances are compared with the payments, and some again as
 * the API tells them.
 */
export function benchReads(options: ReadsOptions): Promise<ReadsResult> {
  const { onPhase } = options;
  return withBenchServer({ onPhase }, async (server) => {
    const customers = customersOf(options.wallets);
    onPhase(`opening ${customers.length} wallets`);
    const opening = await openWallets(server.url, customers);
    const filled = await fillStore(server, customers, {
      events: options.preloadEvents,
      connections: FILL_CONNECTIONS,
      onPhase,
    });
    const { window, writes } = await readAndWrite(server, customers, options);
    onPhase('waiting for the last payments');
    const payments = await untilFinished(server, PAYMENTS_MADE, filled.acknowledged + writes.accepted);
    const books = await checkBooks(server.database.pool, opening);
    const balances_wrong = await countWrongBalances(server, opening);
    return {
      ...readFigures(window),
      ...{ seconds: options.seconds, connections: options.connections, mix: options.mix },
      writes: {
        ...writes,
        wanted_per_second: options.writesPerSecond,
        accepted_per_second: Math.round(writes.accepted / writes.ran),
      },
      balances_compared: Math.min(COMPARED, customers.length),
      balances_wrong,
      ledger_balanced: books.balanced && payments.unfinished === 0,
      events_before: filled.events,
      ...(await versions(server.database.pool)),
    };
  });
}

async function readAndWrite(server: BenchServer, customers: readonly string[], options: ReadsOptions) {
  const payments = await someApproved(server);
  const { port, url } = server;
  const { connections, mix: balances, writesPerSecond: perSecond } = options;
  const reads = startReads({ port, connections, mix: { balances, customers, payments } });
  const writer = startWriter({
    url,
    perSecond,
    requestOf: (number) => paymentOf(customers, number),
    onAccepted: (payment) => reads.written((payment as { readonly id: string }).id),
  });
  const started = performance.now();
  try {
    const window = await measureWindow(server, reads, { ...options, warmUpMs: WARM_UP_MS });
    const ran = (performance.now() - started) / 1000;
    return { window, writes: { ...(await writer.stop()), ran } };
  } finally {
    reads.kill();
    await writer.stop();
  }
}

async function someApproved({ database }: BenchServer): Promise<readonly string[]> {
  const rows = await database.pool.query<{ payment_id: string }>(
    `SELECT payment_id FROM payments.saga_projections WHERE status = 'APPROVED' ORDER BY md5(payment_id::text) LIMIT $1`,
    [LOOKED_UP],
  );
  if (rows.length === 0) throw new Error('there is no approved payment to look up: --preload-events must be larger');
  return rows.map((row) => row.payment_id);
}

/** @returns how many balances the API tells otherwise than the payments approved leave of the opening balance */
async function countWrongBalances(
  { url, database }: BenchServer,
  opening: ReadonlyMap<string, number>,
): Promise<number> {
  const client = createClient(url);
  let wrong = 0;
  for (const [customer, minor] of [...(await expectedBalances(database.pool, opening))].slice(0, COMPARED)) {
    const told = await client.get<{ balance_minor: number }>(`/wallets/${customer}/balance`);
    if (told.balance_minor !== minor) wrong += 1;
  }
  client.close();
  return wrong;
}

/** What was looked up within the time measured. */
export function readFigures({ report, from, to, cpu }: MeasuredWindow<ReadReport>) {
  const took = (to - from) / 1000;
  const rate = (reads: number): number => Math.round(reads / took);
  const kinds = Object.entries(report.kinds);
  return {
    reads_per_second: rate(kinds.reduce((sum, [, { reads }]) => sum + reads, 0)),
    kinds: Object.fromEntries(
      kinds.map(([kind, found]) => [kind, { per_second: rate(found.reads), ...found }]),
    ) as KindFigures,
    errors: report.errors,
    error_kinds: report.errorKinds,
    wrong: kinds.reduce((sum, [, { wrong }]) => sum + wrong, 0),
    cpu,
    load_us_per_request: report.cpuUsPerRequest,
  };
}
