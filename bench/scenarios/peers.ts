import { join } from 'node:path';
import { locateBinaries } from '#kernel/postgres/embedded/binaries.ts';
import { startEmbeddedPostgres } from '#kernel/postgres/embedded.ts';
import { checkBooks, PAYMENTS_MADE } from '../harness/books.ts';
import { withDataFolder } from '../harness/data-folder.ts';
import { startLoad } from '../harness/load.ts';
import { openPeerProcess } from '../harness/peer-process.ts';
import { type BenchServer, withBenchServer } from '../harness/server.ts';
import { type Source, sourceVersions } from '../harness/versions.ts';
import { CURRENCY, customersOf, openWallets } from '../harness/wallets.ts';
import { measureWindow, type OnPhase, untilFinished } from '../harness/window.ts';
import type { Percentiles } from '../load/histogram.ts';
import { PACKAGES, withPackages } from '../peers/packages.ts';
import type { CellReport, LibraryName } from '../peers/protocol.ts';

/** What is compared: see bench/peers for how each makes a transfer. */
export const TOOLS = ['caudal-http', 'caudal-kernel', 'sql', 'emmett', 'dbos'] as const;
export type Tool = (typeof TOOLS)[number];

export interface PeersOptions {
  readonly tools: readonly Tool[];
  readonly concurrent: readonly number[];
  readonly seconds: number;
  /** The load runs so long before each measurement, seconds. */
  readonly warmUp: number;
  readonly accounts: number;
  /** Connections to PostgreSQL at most, in each pool of a tool. */
  readonly pool: number;
  readonly onPhase: OnPhase;
}

/** One tool at one concurrency. */
export interface PeerCell {
  readonly tool: Tool;
  readonly spread: 'uniform' | 'hot';
  readonly concurrent: number;
  /** Outcomes told within the time measured, a second. */
  readonly transfers_per_second: number;
  /** From asking until the outcome is durable and told, milliseconds. */
  readonly ms: Percentiles;
  readonly errors: number;
  readonly error_kinds: Readonly<Record<string, number>>;
  readonly unfinished: number;
  readonly refused: number;
  /** Cores that the tool's process used: with the load in it, but for caudal-http. Undefined where the system does not tell. */
  readonly cores: number | undefined;
}

/** What was checked of a tool at the end: of all that it ever did, warm-up included. */
export interface PeerCheck {
  readonly tool: Tool;
  /** The sum of all balances is what it was, none is below zero, and each transfer told to be done is there. */
  readonly right: boolean;
  readonly transfers: number;
}

export interface PeersResult extends Source {
  readonly cells: readonly PeerCell[];
  readonly checks: readonly PeerCheck[];
  /** Of the packages that are installed for emmett and dbos. */
  readonly versions: Readonly<Record<string, string>>;
  readonly postgres_major: number;
  readonly seconds: number;
  readonly warm_up: number;
  readonly accounts: number;
  readonly pool: number;
}

type ToolResult = { readonly cells: readonly PeerCell[]; readonly check: PeerCheck };
type Cell = Pick<PeerCell, 'spread' | 'concurrent'>;

const OPENING_MINOR = 1_000_000_000;
const NEEDS_PACKAGES: ReadonlySet<Tool> = new Set(['emmett', 'dbos']);
/** Each payment is answered with its final status, not one of so many. */
const EVERY = 1;

/**
 * The same transfer of money by each tool, one tool after another, each on an empty PostgreSQL of its own with Caudal's
 * settings, at each concurrency, first between accounts at random, then all into (with caudal-http: out of) one account.
 */
export async function benchPeers(options: PeersOptions): Promise<PeersResult> {
  const { tools, onPhase, seconds, warmUp, accounts, pool } = options;
  const compare = async (packages: string) => {
    const results: ToolResult[] = [];
    for (const tool of tools) {
      const tell = (phase: string): void => onPhase(`${tool}: ${phase}`);
      const measured = { ...options, onPhase: tell };
      results.push(
        tool === 'caudal-http' ? await measureHttp(measured) : await measureLibrary(tool, packages, measured),
      );
    }
    return results;
  };
  const installs = tools.some((tool) => NEEDS_PACKAGES.has(tool));
  if (installs) onPhase('npm installs what is compared');
  const results = installs ? await withPackages(compare) : await compare('');
  return {
    cells: results.flatMap((result) => result.cells),
    checks: results.map((result) => result.check),
    versions: PACKAGES,
    postgres_major: (await locateBinaries()).major,
    ...{ seconds, warm_up: warmUp, accounts, pool },
    ...(await sourceVersions()),
  };
}

function cellsOf({ concurrent }: PeersOptions): readonly Cell[] {
  return (['uniform', 'hot'] as const).flatMap((spread) => concurrent.map((count) => ({ spread, concurrent: count })));
}

function measureLibrary(
  tool: LibraryName,
  packages: string,
  options: PeersOptions,
): Promise<{ cells: readonly PeerCell[]; check: PeerCheck }> {
  const { accounts, pool, onPhase } = options;
  return withDataFolder(async (folder) => {
    onPhase('starting PostgreSQL');
    const quiet = { info: () => undefined, warn: () => undefined, error: console.error };
    const postgres = await startEmbeddedPostgres({ dataDir: join(folder, 'postgres'), log: quiet });
    try {
      onPhase('opening the accounts');
      const peerOptions = { url: postgres.url, packages, accounts, openingMinor: OPENING_MINOR, pool };
      const peer = await openPeerProcess(tool, peerOptions);
      try {
        const cells: PeerCell[] = [];
        for (const cell of cellsOf(options)) {
          onPhase(`${cell.spread}, ${cell.concurrent} concurrent`);
          const { warmUp, seconds } = options;
          const hot = cell.spread === 'hot';
          const report = await peer.measure({
            concurrent: cell.concurrent,
            hot,
            warmUpMs: warmUp * 1000,
            seconds,
          });
          cells.push(cellOf(tool, cell, report));
        }
        const { sumMinor, lowestMinor, inDatabase, told } = await peer.close();
        const failed = cells.reduce((sum, { errors, unfinished }) => sum + errors + unfinished, 0);
        const all = failed === 0 ? inDatabase === told : inDatabase >= told && inDatabase <= told + failed;
        const right = sumMinor === accounts * OPENING_MINOR && lowestMinor >= 0 && all;
        return { cells, check: { tool, right, transfers: inDatabase } };
      } finally {
        peer.kill();
      }
    } finally {
      await postgres.stop();
    }
  });
}

function cellOf(tool: Tool, cell: Cell, report: CellReport): PeerCell {
  const { done, seconds, ms, errors, errorKinds, unfinished, refused, cores } = report;
  const transfers_per_second = Math.round(done / seconds);
  return { tool, ...cell, transfers_per_second, ms, errors, error_kinds: errorKinds, unfinished, refused, cores };
}

/** Wallet payments through the API, of which every one is answered with its final status. */
function measureHttp(options: PeersOptions): Promise<ToolResult> {
  const { onPhase, accounts } = options;
  return withBenchServer({ onPhase }, async (server) => {
    const customers = customersOf(accounts);
    onPhase('opening the accounts');
    const opening = await openWallets(server.url, customers);
    const cells: PeerCell[] = [];
    let acknowledged = 0;
    let failed = 0;
    for (const cell of cellsOf(options)) {
      const tell = (phase: string): void => onPhase(`${cell.spread}, ${cell.concurrent} concurrent: ${phase}`);
      const measured = await measureHttpCell(server, cell, customers, { ...options, onPhase: tell });
      acknowledged += measured.acknowledged;
      failed += measured.cell.errors;
      const { created, unfinished } = await untilFinished(server, PAYMENTS_MADE, acknowledged);
      cells.push({ ...measured.cell, unfinished });
      if (created > acknowledged + failed)
        throw new Error(`${created} payments, but only ${acknowledged} were asked for`);
    }
    const { balanced } = await checkBooks(server.database.pool, opening);
    const right = balanced && cells.every((cell) => cell.unfinished === 0);
    return { cells, check: { tool: 'caudal-http', right, transfers: acknowledged } };
  });
}

async function measureHttpCell(
  server: BenchServer,
  cell: Cell,
  customers: readonly string[],
  { seconds, warmUp, onPhase }: PeersOptions,
) {
  const plan = { method: 'wallet', hot: cell.spread === 'hot' ? 1 : 0, customers, currency: CURRENCY } as const;
  const { concurrent: connections } = cell;
  const load = startLoad({ port: server.port, connections, sampleEvery: EVERY, plan });
  try {
    const window = await measureWindow(server, load, { seconds, warmUpMs: warmUp * 1000, onPhase });
    const { report, from, to } = window;
    const measured: Omit<PeerCell, 'unfinished'> = {
      tool: 'caudal-http',
      ...cell,
      transfers_per_second: Math.round(report.completionSamples / ((to - from) / 1000)),
      ms: report.completion,
      errors: report.errors,
      error_kinds: report.errorKinds,
      refused: 0,
      cores: window.cpu?.server,
    };
    return { cell: measured, acknowledged: report.acknowledged };
  } finally {
    load.kill();
  }
}
