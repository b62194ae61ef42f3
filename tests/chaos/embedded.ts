import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startEmbeddedPostgres } from '#kernel/postgres/embedded.ts';
import { freePorts, postgresOf, runsAs, signal } from './processes.ts';
import type { World, WorldPorts } from './world.ts';

const LOG = { info: () => undefined, warn: console.warn, error: console.error };

/** As on a laptop: the servers start PostgreSQL and the gateway simulator themselves, and look after them. */
export interface Embedded extends World {
  readonly dataDir: string;
}

export async function createEmbedded({ dataDir }: WorldPorts): Promise<Embedded> {
  const [simulatorPort] = await freePorts(1);
  const postgres = () => postgresOf(dataDir);
  return {
    dataDir,
    missing: new Map(),
    places: 2,
    first: 1,
    mayTimeOut: true,
    servesApi: () => true,
    settingsOf: () => ({ CAUDAL_DATA: dataDir, SIMULATOR_PORT: String(simulatorPort) }),
    postgres,
    simulator: async () => {
      const pid = Number(await readFile(join(dataDir, 'simulator.pid'), 'utf8'));
      return (await runsAs(pid, 'simulator/main.ts')) ? [pid] : [];
    },
    simulatorUrl: () => readFile(join(dataDir, 'simulator.url'), 'utf8'),
    openDatabase: async () => {
      const { url, stop } = await startEmbeddedPostgres({ dataDir: join(dataDir, 'postgres'), log: LOG });
      return { url, close: stop };
    },
    afterLastStop: async () => {
      const left = await postgres();
      return left.length === 0 ? [] : [`PostgreSQL still runs after the last stop: ${left}`];
    },
    close: async () => signal(await postgres(), 'SIGKILL'),
  };
}
