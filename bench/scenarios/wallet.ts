import { type Client, createClient } from '../../src/cli/client.ts';
import { createLanes } from '../../src/cli/lanes.ts';
import { type BenchServer, withBenchServer } from '../harness/server.ts';
import { type Versions, versions } from '../harness/versions.ts';
import type { OnPhase } from '../harness/window.ts';
import { createHistogram, type Percentiles, percentilesOf } from '../load/histogram.ts';

export interface WalletOptions {
  /** How many events the wallet's stream has. */
  readonly events: number;
  /** After how many restarts each request is made; the slowest counts. */
  readonly restarts: number;
  readonly onPhase: OnPhase;
}

/** Milliseconds, as a client sees them. */
export interface WalletResult extends Versions {
  readonly events: number;
  readonly warm_ms: Readonly<Record<Read, Percentiles>>;
  /** The first of its kind after a restart of the server and PostgreSQL: the slowest of some restarts. */
  readonly cold_ms: Readonly<Record<Read | 'debit', number>>;
}

type Read = 'wallet' | 'statement' | 'balance_as_of';

const USER = 'bench-wallet';
const PATHS: Readonly<Record<Read, string>> = {
  wallet: `/wallets/${USER}`,
  statement: `/wallets/${USER}/transactions?limit=50`,
  balance_as_of: `/wallets/${USER}/balance?as_of=2001-01-01`,
};
const READS = Object.keys(PATHS) as Read[];
const WARM_READS = 300;
const WARM_UP_READS = 100;
const CONNECTIONS = 64;
const DAY_MS = 86_400_000;
const FIRST_DAY = Date.UTC(2000, 0, 1);
const DAYS = 730;

/** Reads one wallet with a long history, when the server knows it and when it has just started. */
export function benchWallet(options: WalletOptions): Promise<WalletResult> {
  return withBenchServer(options, async (server) => {
    options.onPhase(`making a wallet of ${options.events} events`);
    await makeHistory(server, options.events);
    options.onPhase('reading');
    const warm: Partial<Record<Read, Percentiles>> = {};
    for (const read of READS) warm[read] = await readWarm(server, PATHS[read]);
    const cold: Record<string, number> = {};
    for (let i = 0; i < options.restarts; i++) {
      for (const read of READS) {
        options.onPhase(`reading after restart ${i + 1} of ${options.restarts}: ${read}`);
        await server.restart();
        cold[read] = Math.max(cold[read] ?? 0, await once(server, (client) => client.get(PATHS[read])));
      }
      await server.restart();
      cold.debit = Math.max(
        cold.debit ?? 0,
        await once(server, (client) => debit(client, `cold-${i}`, FIRST_DAY + DAYS * DAY_MS)),
      );
    }
    return {
      events: options.events,
      warm_ms: warm as WalletResult['warm_ms'],
      cold_ms: cold as WalletResult['cold_ms'],
      ...(await versions(server.database.pool)),
    };
  });
}

/** One credit, then debits whose value dates go on day by day. */
async function makeHistory(server: BenchServer, events: number): Promise<void> {
  const client = createClient(server.url, CONNECTIONS);
  const lanes = createLanes(CONNECTIONS);
  await client.post('/wallets', { user_id: USER, currency: 'USD' });
  const credit = {
    amount: events,
    reason: 'deposit',
    reference: 'opening',
    effective_at: new Date(FIRST_DAY).toISOString(),
  };
  await client.post(`/wallets/${USER}/credits`, credit);
  for (let i = 2; i < events; i++) {
    await lanes.put(String(i % CONNECTIONS), () =>
      debit(client, `debit-${i}`, FIRST_DAY + Math.floor((i / events) * DAYS) * DAY_MS),
    );
  }
  await lanes.finish();
  client.close();
}

async function debit(client: Client, reference: string, effectiveAt: number): Promise<void> {
  const body = { amount: 0.01, reason: 'fee', reference, effective_at: new Date(effectiveAt).toISOString() };
  await client.post(`/wallets/${USER}/debits`, body);
}

async function readWarm(server: BenchServer, path: string): Promise<Percentiles> {
  const client = createClient(server.url, 1);
  const histogram = createHistogram();
  for (let i = 0; i < WARM_UP_READS; i++) await client.get(path);
  for (let i = 0; i < WARM_READS; i++) histogram.record(await timed(() => client.get(path)));
  client.close();
  return percentilesOf(histogram);
}

/** @returns milliseconds, on a connection that is open already */
async function once(server: BenchServer, work: (client: Client) => Promise<unknown>): Promise<number> {
  const client = createClient(server.url, 1);
  await client.get('/config');
  const ms = await timed(() => work(client));
  client.close();
  return Math.round(ms * 100) / 100;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}
