import { join } from 'node:path';
import { type Kafka, startKafka } from '#kernel/bus/kafka/server/cluster.ts';
import { type Role, readConfig } from '#src/config.ts';
import { openTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';
import { createPostgres, type Postgres } from './postgres.ts';
import { freePorts, signal } from './processes.ts';
import { createSimulatorProcess, type Simulator } from './simulator.ts';
import type { World, WorldPorts } from './world.ts';

const WEBHOOK_SECRET = 'the secret of the chaos tests';
const BROKERS = 3;
/** Brokers that keep little and do not live for long. */
const BROKER_MEMORY = { heap: '256m', javaOptions: ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'] };
const QUIET = { info: () => undefined, warn: console.warn };

/** A step of a payment is asked for three times; whatever is broken here is mended, and taken over, long before the last. */
const STEP_DEADLINE_MS = 20_000;

/** What each process runs: two of each, so that there is another one whatever happens to one. */
const CELL: readonly (readonly Role[])[] = [['payments'], ['wallets'], ['gateway'], ['fraud', 'metrics'], ['api']];
const COPIES = 2;

/** After so long a process that says nothing is taken for dead: by Kafka, as soon as its brokers allow, and by PostgreSQL. */
const SESSION_TIMEOUT_MS = 6000;
const LEASE_MS = 5000;
/** Surely longer than either. */
export const PAST_SESSION_MS = SESSION_TIMEOUT_MS + 1000;

/** As on several machines: Kafka carries the events between services that run apart from each other, each twice. */
export interface OnKafka extends World {
  readonly parts: { readonly kafka: Kafka; readonly postgres: Postgres; readonly simulator: Simulator };
  /** What the server on this place runs. */
  rolesOf(place: number): readonly Role[];
}

export async function createOnKafka({ dataDir, serverPorts, guardian }: WorldPorts): Promise<OnKafka> {
  const [postgresPort, simulatorPort] = (await freePorts(2)) as [number, number];
  const { cacheDir } = readConfig(process.env);
  const logFile = join(dataDir, 'postgres.log');
  const [kafka, postgres] = await Promise.all([
    startKafka({
      dataDir: join(dataDir, 'kafka'),
      cacheDir,
      log: QUIET,
      lifetime: 'caller',
      port: 0,
      brokers: BROKERS,
      ...BROKER_MEMORY,
    }),
    createPostgres({ folder: dataDir, logFile, port: postgresPort }, guardian),
  ]);
  // A webhook goes to any process that serves the API.
  const webhooks: TcpProxy = await openTcpProxy(() => serverPorts()[0]);
  const webhookUrl = `http://127.0.0.1:${webhooks.port}/api/v1/webhooks/simulator`;
  const settings = { folder: dataDir, port: simulatorPort, webhookUrl, webhookSecret: WEBHOOK_SECRET };
  const simulator = await createSimulatorProcess(settings, guardian);
  const places = CELL.length * COPIES;
  const rolesOf = (place: number): readonly Role[] => CELL[place % CELL.length]!;

  return {
    parts: { kafka, postgres, simulator },
    places,
    first: places,
    missing: new Map(),
    rolesOf,
    mayTimeOut: false,
    servesApi: (place) => rolesOf(place).includes('api'),
    settingsOf: (place) => ({
      CAUDAL_DATA: join(dataDir, 'server'),
      CAUDAL_SERVICES: rolesOf(place).join(','),
      DATABASE_URL: postgres.url,
      DATABASE_POOL_SIZE: '6',
      BUS_HEARTBEAT_MS: '1000',
      BUS_LEASE_MS: String(LEASE_MS),
      FRAUD_DEADLINE_MS: String(STEP_DEADLINE_MS),
      DEBIT_DEADLINE_MS: String(STEP_DEADLINE_MS),
      GATEWAY_URL: simulator.url,
      GATEWAY_WEBHOOK_SECRET: WEBHOOK_SECRET,
      KAFKA_BROKERS: kafka.bootstrap.join(','),
      KAFKA_REPLICATION: String(BROKERS),
      KAFKA_SESSION_TIMEOUT_MS: String(SESSION_TIMEOUT_MS),
      KAFKA_HEARTBEAT_MS: '1000',
      KAFKA_FETCH_WAIT_MS: '100',
    }),
    postgres: postgres.pids,
    simulator: async () => [simulator.pid],
    simulatorUrl: async () => simulator.url,
    openDatabase: async () => ({ url: postgres.url, close: async () => undefined }),
    afterLastStop: async () => [],
    close: async () => {
      signal([...(await postgres.pids()), simulator.pid], 'SIGKILL');
      for (const { id } of kafka.brokers) await kafka.killBroker(id);
      await until('PostgreSQL has ended', async () => (await postgres.pids()).length === 0);
      await webhooks.close();
    },
  };
}
