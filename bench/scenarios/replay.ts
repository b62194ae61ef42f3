import { createLog } from '#kernel/observability/log.ts';
import { rebuild } from '#kernel/projections/rebuild.ts';
import { readConfig } from '#src/config.ts';
import { type KnownReadModel, readModels } from '../../src/cli/read-models.ts';
import { checkBooks, PAYMENTS_MADE } from '../harness/books.ts';
import { startLoad } from '../harness/load.ts';
import { type BenchServer, withBenchServer } from '../harness/server.ts';
import { type Versions, versions } from '../harness/versions.ts';
import { CURRENCY, customersOf, openWallets } from '../harness/wallets.ts';
import { countEvents, type OnPhase, untilFilled, untilFinished } from '../harness/window.ts';

export interface ReplayOptions {
  /** How many events the store is filled with, by payments. */
  readonly events: number;
  readonly wallets: number;
  readonly onPhase: OnPhase;
}

/** The rebuild of one read model. */
export interface ReplayedModel {
  readonly name: string;
  /** `inline`: in the transaction of the events; `follows`: behind the log. */
  readonly kept: KnownReadModel['kept'];
  /** Events of the types that it is made of: what was read and folded. */
  readonly events: number;
  readonly rows: number;
  /** All of it: folding, writing, comparing with the one that served, swapping in. */
  readonly seconds: number;
  /** `events` by `seconds`. */
  readonly events_per_second: number;
  /** Rows that are not what served: 0, or something is wrong. */
  readonly different: number;
}

export interface ReplayResult extends Versions {
  /** In the log, when the rebuilds began. */
  readonly events: number;
  readonly payments: number;
  readonly unfinished: number;
  readonly load_errors: number;
  readonly read_models: readonly ReplayedModel[];
  readonly ledger_balanced: boolean;
}

const WALLET_CONNECTIONS = 224;
const CARD_CONNECTIONS = 32;
const SAMPLE_EVERY = 1000;

/**
 * Fills a store with payments, most by wallet and some by card; then rebuilds each read model from the log, one after
 * another, as `caudal projections rebuild` does, while the server runs without load.
 */
export function benchReplay(options: ReplayOptions): Promise<ReplayResult> {
  const { onPhase } = options;
  return withBenchServer({ onPhase }, async (server) => {
    const customers = customersOf(options.wallets);
    onPhase(`opening ${customers.length} wallets`);
    const opening = await openWallets(server.url, customers);
    const loadErrors = await fill(server, customers, options);
    onPhase('waiting for the last payments');
    const { created, unfinished } = await untilFinished(server, PAYMENTS_MADE, 0);
    const { pool } = server.database;
    const events = await countEvents(pool);
    const read_models = await rebuildAll(server, onPhase);
    const { balanced } = await checkBooks(pool, opening);
    return {
      ...{ events, payments: created, unfinished, load_errors: loadErrors, read_models, ledger_balanced: balanced },
      ...(await versions(pool)),
    };
  });
}

/** @returns how many requests failed */
async function fill(
  server: BenchServer,
  customers: readonly string[],
  { events, onPhase }: ReplayOptions,
): Promise<number> {
  const common = { port: server.port, sampleEvery: SAMPLE_EVERY };
  const plan = { hot: 0, customers, currency: CURRENCY };
  const loads = [
    startLoad({ ...common, connections: WALLET_CONNECTIONS, plan: { ...plan, method: 'wallet' } }),
    startLoad({ ...common, connections: CARD_CONNECTIONS, plan: { ...plan, method: 'credit_card' } }),
  ];
  try {
    await untilFilled(server, events, onPhase);
    const reports = await Promise.all(loads.map((load) => load.stop()));
    return reports.reduce((sum, { errors }) => sum + errors, 0);
  } finally {
    for (const load of loads) load.kill();
  }
}

async function rebuildAll(
  { database: { pool, topologies } }: BenchServer,
  onPhase: OnPhase,
): Promise<readonly ReplayedModel[]> {
  const config = readConfig({});
  const ports = { pool, topologies };
  const replayed: ReplayedModel[] = [];
  for (const model of await readModels(config, createLog('silent'))) {
    const onProgress = (done: number, total: number): void =>
      onPhase(`rebuilding ${model.name}: ${done} of ${total} events of the log`);
    const started = performance.now();
    const { events, rows, different } = await rebuild(model, ports, { replace: false, onProgress });
    const seconds = (performance.now() - started) / 1000;
    const { name, kept } = model;
    const events_per_second = Math.round(events / seconds);
    replayed.push({ name, kept, events, rows, seconds: Math.round(seconds * 100) / 100, events_per_second, different });
  }
  return replayed;
}
