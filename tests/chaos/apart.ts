import { join } from 'node:path';
import { openTcpProxy, type TcpProxy, urlThrough } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';
import { type Disk, openDisk } from './disk.ts';
import { createPostgres, type Postgres } from './postgres.ts';
import { freePorts, signal } from './processes.ts';
import { createSimulatorProcess, type Simulator } from './simulator.ts';
import type { World, WorldPorts } from './world.ts';

const WEBHOOK_SECRET = 'the secret of the chaos tests';
const SERVERS = 2;

/** The ways between the parts. */
export interface Network {
  /** From each server to PostgreSQL. */
  readonly database: readonly TcpProxy[];
  /** From each server to the gateway simulator. */
  readonly gateway: readonly TcpProxy[];
  /** From the gateway simulator to a server. */
  readonly webhooks: TcpProxy;
}

/** As in production: every part runs on its own, with a network in between, and an operator looks after them. */
export interface Apart extends World {
  readonly parts: { readonly postgres: Postgres; readonly simulator: Simulator; readonly disk: Disk };
  readonly network: Network;
}

export async function createApart({ dataDir, serverPorts, guardian }: WorldPorts): Promise<Apart> {
  const [postgresPort, simulatorPort] = (await freePorts(2)) as [number, number];
  const perServer = (port: number) => Promise.all(Array.from({ length: SERVERS }, () => openTcpProxy(() => port)));
  const network: Network = {
    database: await perServer(postgresPort),
    gateway: await perServer(simulatorPort),
    webhooks: await openTcpProxy(() => serverPorts()[0]),
  };
  const disk = await openDisk(join(dataDir, 'disk'), guardian);
  const logFile = join(dataDir, 'postgres.log');
  const postgres = await createPostgres({ folder: disk.path, logFile, port: postgresPort }, guardian);
  const webhookUrl = `http://127.0.0.1:${network.webhooks.port}/api/v1/webhooks/simulator`;
  const settings = { folder: dataDir, port: simulatorPort, webhookUrl, webhookSecret: WEBHOOK_SECRET };
  const simulator = await createSimulatorProcess(settings, guardian);

  return {
    parts: { postgres, simulator, disk },
    network,
    missing: new Map(disk.missing === undefined ? [] : [['disk', disk.missing]]),
    places: SERVERS,
    first: 1,
    mayTimeOut: true,
    servesApi: () => true,
    settingsOf: (place) => ({
      CAUDAL_DATA: join(dataDir, 'server'),
      DATABASE_URL: urlThrough(network.database[place]!, postgres.url),
      GATEWAY_URL: `http://127.0.0.1:${network.gateway[place]!.port}`,
      GATEWAY_WEBHOOK_SECRET: WEBHOOK_SECRET,
    }),
    postgres: postgres.pids,
    simulator: async () => [simulator.pid],
    simulatorUrl: async () => simulator.url,
    openDatabase: async () => ({ url: postgres.url, close: async () => undefined }),
    afterLastStop: async () => [],
    close: async (keep) => {
      signal([...(await postgres.pids()), simulator.pid], 'SIGKILL');
      await until('PostgreSQL has ended', async () => (await postgres.pids()).length === 0);
      await Promise.all([...network.database, ...network.gateway, network.webhooks].map((proxy) => proxy.close()));
      await disk.close(keep);
    },
  };
}
