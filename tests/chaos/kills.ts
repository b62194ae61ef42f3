import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startEmbeddedPostgres } from '#kernel/postgres/embedded.ts';
import type { Random } from '../support/random.ts';
import { until } from '../support/until.ts';
import type { Harness, Server } from './harness.ts';
import { postgresOf, signal, simulatorOf } from './processes.ts';

/** What a kill has at hand. Each leaves at least one server that was told to start. */
export interface Scene {
  readonly harness: Harness;
  readonly random: Random;
  /** Something that should not have been. */
  report(finding: string): void;
  /** Resolves when a new payment has come to its end: the platform goes on by itself. */
  goesOn(): Promise<void>;
}

export type Kill = (scene: Scene) => Promise<void>;

/** Every way in which something is killed, by name. */
export const KILLS: Readonly<Record<string, Kill>> = {
  'kill -9 of the server': async ({ harness, random }) => {
    await harness.kill(random.pick(harness.servers));
    await sleep(random.between(0, 500));
    await atLeastOne(harness);
  },

  'kill -9 of a server that starts': async ({ harness, random }) => {
    await harness.kill(random.pick(harness.servers));
    const starting = harness.start();
    await sleep(random.between(50, 1500));
    await harness.kill(starting);
    await atLeastOne(harness);
  },

  'kill -9 of servers and PostgreSQL': async ({ harness, random }) => {
    const pids = await postgresOf(harness.dataDir);
    const killed = harness.servers.map(harness.kill);
    signal(pids, 'SIGKILL');
    await Promise.all(killed);
    await sleep(random.between(0, 500));
    await atLeastOne(harness);
  },

  'kill -9 of PostgreSQL': async ({ harness, goesOn }) => {
    await settled(harness);
    signal(await postgresOf(harness.dataDir), 'SIGKILL');
    await goesOn();
  },

  'kill -9 of the postmaster alone': async ({ harness, goesOn }) => {
    await settled(harness);
    signal((await postgresOf(harness.dataDir)).slice(0, 1), 'SIGKILL');
    await goesOn();
  },

  'kill -9 of one process of PostgreSQL': async ({ harness, random, goesOn }) => {
    await settled(harness);
    const [, ...children] = await postgresOf(harness.dataDir);
    signal([random.pick(children)], 'SIGKILL');
    await goesOn();
  },

  'PostgreSQL stopped and started': async ({ harness, random, report, goesOn }) => {
    await settled(harness);
    const [postmaster] = await postgresOf(harness.dataDir);
    signal([postmaster!], 'SIGINT');
    await until('PostgreSQL has stopped', async () => (await postgresOf(harness.dataDir)).length === 0);
    for (const server of harness.servers) await refusesUnavailable(server, report);
    await sleep(random.between(0, 1500));
    const postgres = await startEmbeddedPostgres({ dataDir: join(harness.dataDir, 'postgres'), log: QUIET });
    await goesOn();
    await postgres.stop();
  },

  'kill -9 of the gateway simulator': async ({ harness, goesOn }) => {
    await settled(harness);
    const found = await Promise.all(harness.servers.map(({ pid }) => simulatorOf(pid)));
    signal(
      found.filter((pid) => pid !== undefined),
      'SIGKILL',
    );
    await goesOn();
  },

  'graceful stop': async ({ harness, random, report }) => {
    await settled(harness);
    const ended = await harness.stop(random.pick(harness.servers));
    if (ended !== 'code 0') report(`a stop under load ended with ${ended}`);
    await sleep(random.between(0, 300));
    await atLeastOne(harness);
  },

  'one of two servers killed': async ({ harness, random, goesOn }) => {
    await secondServer(harness);
    await sleep(random.between(500, 2500));
    await harness.kill(random.pick(harness.servers));
    await goesOn();
  },

  'one of two servers stopped': async ({ harness, random, report, goesOn }) => {
    await secondServer(harness);
    await sleep(random.between(500, 2500));
    const ended = await harness.stop(random.pick(harness.servers));
    if (ended !== 'code 0') report(`a stop beside another server ended with ${ended}`);
    await goesOn();
  },
};

const QUIET = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** Some kills only make sense on servers that have started. */
async function settled(harness: Harness): Promise<void> {
  for (const server of harness.servers) await harness.ready(server);
}

async function atLeastOne(harness: Harness): Promise<void> {
  if (harness.servers.length === 0) harness.start();
}

async function secondServer(harness: Harness): Promise<void> {
  await settled(harness);
  while (harness.servers.length < 2) await harness.ready(harness.start());
}

/** While PostgreSQL is away, a client is told to come again, and when. */
async function refusesUnavailable({ url }: Server, report: (finding: string) => void): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ amount: 1, currency: 'USD', method: 'wallet', customer_id: 'nobody' });
  const response = await fetch(`${url}/payments`, { method: 'POST', headers, body });
  await response.body?.cancel();
  const retryAfter = response.headers.get('retry-after');
  if (response.status !== 503 || retryAfter === null) {
    report(`without PostgreSQL a payment was answered ${response.status}, Retry-After ${retryAfter}`);
  }
}
