import { mkdir, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { withLockFile } from '#kernel/postgres/embedded/lock-file.ts';
import {
  answers,
  brokerPid,
  killBroker,
  type Launched,
  type Lifetime,
  launchBroker,
  logFileOf,
  runningBrokerReady,
  stopBroker,
} from './broker.ts';
import { brokerFolder, type Cluster, createCluster, logDirOf, readCluster, writeCluster } from './cluster-file.ts';
import { ensureKafka, type Installation, type KafkaLog } from './install.ts';
import { choosePorts } from './ports.ts';
import { type BrokerPlace, HOST, type Sasl, type ServerTls, serverProperties } from './properties.ts';

const DEFAULT_HEAP = '512m';
const PORT_ATTEMPTS = 3;
const RETRY_MS = 200;

export interface KafkaOptions {
  /** `<CAUDAL_DATA>/kafka`, made at the first start. Beside it lies kafka.lock while somebody starts or stops. */
  readonly dataDir: string;
  /** CAUDAL_CACHE: where Kafka itself is installed. */
  readonly cacheDir: string;
  readonly log: KafkaLog;
  /** Whether brokers end with this process, even when it is killed, or stay until they are stopped. */
  readonly lifetime: Lifetime;
  /** Default: as many as the data are of, else 1. */
  readonly brokers?: 1 | 3;
  /** Of the first broker; the others, and the controllers, follow. 0: any free ones. Default: as the last time, else 9092. */
  readonly port?: number;
  /** Java's limit of memory for each broker, as in `-Xmx512m`. Default 512m. */
  readonly heap?: string;
  /** What else Java is told. Default: nothing. */
  readonly javaOptions?: readonly string[];
  /** Makes clients log in with this. Default: nobody has to. */
  readonly sasl?: Sasl;
  /** Has clients come over TLS. Default: without. */
  readonly tls?: ServerTls;
}

/** What is known of a broker; `pid` undefined: it does not run. */
export interface BrokerState {
  readonly id: number;
  readonly host: string;
  readonly port: number;
  readonly pid: number | undefined;
  readonly logFile: string;
}

export interface Kafka {
  /** As `host:port`, for KAFKA_BROKERS. */
  readonly bootstrap: readonly string[];
  /** By id, as they are now as far as this handle knows. */
  readonly brokers: readonly BrokerState[];
  /** Those that did not run before. */
  readonly started: readonly number[];
  /** Stops all brokers in good order. */
  stop(): Promise<void>;
  /** Stops one broker in good order. */
  stopBroker(id: number): Promise<void>;
  /** Ends one broker at once, as a crash of its machine would. */
  killBroker(id: number): Promise<void>;
  /** Starts one broker again, on its port and its data, and waits until it is ready. */
  startBroker(id: number): Promise<void>;
}

/**
 * Starts the brokers on `dataDir` that do not run yet, and waits until each of them is ready. They listen on 127.0.0.1 only.
 * @throws Error with a reason that a person can act on: no Java or Maven, data of another number of brokers, a port in use, what
 * Kafka itself wrote to its log
 */
export async function startKafka(options: KafkaOptions): Promise<Kafka> {
  const installation = await ensureKafka(options.cacheDir, options.log);
  const dataDir = await ensureParent(options.dataDir);
  return withLockFile(lockFile(dataDir), async () => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await startMissing({ ...options, dataDir }, installation);
      } catch (error) {
        // Somebody else may have taken a port between our look and the start; then there are others, unless one was wanted.
        const passesByItself = /Address already in use/.test((error as Error).message) && !options.port;
        if (!passesByItself || attempt === PORT_ATTEMPTS) throw error;
        await sleep(RETRY_MS);
      }
    }
  });
}

async function startMissing(options: KafkaOptions, installation: Installation): Promise<Kafka> {
  const { dataDir } = options;
  const cluster = await openCluster(options, installation);
  const pids = await pidsOf(dataDir, cluster);
  const missing = cluster.brokers.filter(({ id }) => !pids.has(id));
  // A start that was killed may have left brokers that are not ready yet.
  const running = cluster.brokers.filter(({ id }) => pids.has(id));
  const launch = (broker: BrokerPlace) => launchIn(options, installation, cluster, broker);
  try {
    const launched = await Promise.all(missing.map(launch));
    const waits = running.map(({ id, port }) => runningBrokerReady({ id, port, folder: brokerFolder(dataDir, id) }));
    await Promise.all([...waits, ...launched.map((broker) => broker.ready())]);
    for (const [i, { pid }] of launched.entries()) pids.set(missing[i]!.id, pid);
  } catch (error) {
    for (const { id } of missing) await killBroker(id, brokerFolder(dataDir, id));
    throw error;
  }
  const started = missing.map(({ id }) => id);
  return handleOf(options, cluster, pids, started, launch);
}

/** Finds the cluster and its ports, or makes it. */
async function openCluster(options: KafkaOptions, installation: Installation): Promise<Cluster> {
  const { dataDir, brokers, port } = options;
  const cluster = await readCluster(dataDir);
  const count = cluster?.brokers.length ?? brokers ?? 1;
  if (brokers !== undefined && brokers !== count) throw new Error(wrongNumber(dataDir, count, brokers));
  if (cluster !== undefined && (await pidsOf(dataDir, cluster)).size > 0) return assertPort(cluster, port);
  const known = cluster?.brokers.map((broker) => broker.port) ?? [];
  const places = (await choosePorts(count, port, known)).map(
    (first, i): BrokerPlace => ({ id: i + 1, port: first, controllerPort: first + 1 }),
  );
  if (cluster === undefined) return createCluster(dataDir, places, installation);
  const moved = { ...cluster, brokers: places };
  await writeCluster(dataDir, moved);
  return moved;
}

function wrongNumber(dataDir: string, found: number, wanted: number): string {
  const brokers = (count: number) => `${count} broker${count === 1 ? '' : 's'}`;
  const hint = `start it with ${found}, remove that folder, or set CAUDAL_DATA to another one`;
  return `The Kafka in ${dataDir} has ${brokers(found)} and cannot become one of ${brokers(wanted)}: ${hint}`;
}

function assertPort(cluster: Cluster, port: number | undefined): Cluster {
  const used = cluster.brokers[0]!.port;
  if (!port || port === used) return cluster;
  throw new Error(`Kafka runs already, on port ${used}: stop it before it can start on port ${port}`);
}

function launchIn(
  { dataDir, heap = DEFAULT_HEAP, javaOptions = [], sasl, tls, lifetime }: KafkaOptions,
  installation: Installation,
  { brokers }: Cluster,
  broker: BrokerPlace,
): Promise<Launched> {
  const { id, port } = broker;
  const properties = serverProperties({ broker, brokers, logDir: logDirOf(dataDir, id), sasl, tls });
  const folder = brokerFolder(dataDir, id);
  // In a heap of this size the collector that Java would choose marks for as long as large batches come: two thirds of all that a broker did.
  const options = [`-Xmx${heap}`, '-XX:+UseSerialGC', ...javaOptions];
  return launchBroker({ id, port, folder, properties, installation, javaOptions: options, lifetime });
}

function handleOf(
  { dataDir, log }: KafkaOptions,
  cluster: Cluster,
  pids: Map<number, number>,
  started: readonly number[],
  launch: (broker: BrokerPlace) => Promise<Launched>,
): Kafka {
  const placeOf = (id: number): BrokerPlace => {
    const place = cluster.brokers.find((broker) => broker.id === id);
    if (place === undefined) throw new Error(`There is no broker ${id}: there are ${cluster.brokers.length}`);
    return place;
  };
  const end = async (id: number, how: (folder: string) => Promise<void>): Promise<void> => {
    await how(brokerFolder(dataDir, placeOf(id).id));
    pids.delete(id);
  };
  return {
    bootstrap: cluster.brokers.map(({ port }) => `${HOST}:${port}`),
    get brokers() {
      return cluster.brokers.map((broker) => stateOf(dataDir, broker, pids.get(broker.id)));
    },
    started,
    async stop() {
      await stopKafka(dataDir, log);
      pids.clear();
    },
    stopBroker: (id) => end(id, (folder) => stopBroker(id, folder, log)),
    killBroker: (id) => end(id, (folder) => killBroker(id, folder)),
    async startBroker(id) {
      const broker = await launch(placeOf(id));
      pids.set(id, broker.pid);
      await broker.ready();
    },
  };
}

/** The brokers of the data folder, and whether each one answers; undefined when there never was a Kafka. */
export async function kafkaStatus(
  dataDir: string,
): Promise<readonly (BrokerState & { readonly up: boolean })[] | undefined> {
  const cluster = await readCluster(dataDir);
  if (cluster === undefined) return undefined;
  const folder = await realFolder(dataDir);
  const pids = await pidsOf(folder, cluster);
  return Promise.all(
    cluster.brokers.map(async (broker) => {
      const pid = pids.get(broker.id);
      return { ...stateOf(folder, broker, pid), up: pid !== undefined && (await answers(broker.port)) };
    }),
  );
}

/**
 * Stops the brokers of the data folder in good order, and kills those that do not end in time.
 * @returns the ids of those that ran
 * @throws Error when one does not end
 */
export async function stopKafka(dataDir: string, log: KafkaLog): Promise<readonly number[]> {
  if ((await readCluster(dataDir)) === undefined) return [];
  const folder = await realFolder(dataDir);
  return withLockFile(lockFile(folder), async () => {
    const cluster = await readCluster(folder);
    const running = [...(await pidsOf(folder, cluster!)).keys()];
    await Promise.all(running.map((id) => stopBroker(id, brokerFolder(folder, id), log)));
    return running;
  });
}

function stateOf(dataDir: string, { id, port }: BrokerPlace, pid: number | undefined): BrokerState {
  return { id, host: HOST, port, pid, logFile: logFileOf(brokerFolder(dataDir, id)) };
}

/** The process ids of the brokers that run, by broker. */
async function pidsOf(dataDir: string, { brokers }: Cluster): Promise<Map<number, number>> {
  const pids = new Map<number, number>();
  for (const { id } of brokers) {
    const pid = await brokerPid(brokerFolder(dataDir, id));
    if (pid !== undefined) pids.set(id, pid);
  }
  return pids;
}

/** The real path of the data folder, whose parent is made. */
async function ensureParent(dataDir: string): Promise<string> {
  const parent = dirname(dataDir);
  await mkdir(parent, { recursive: true }).catch((cause: Error) => {
    const hint = 'Set CAUDAL_DATA to a folder that you can write to.';
    throw new Error(`The data folder ${parent} cannot be used: ${cause.message}. ${hint}`, { cause });
  });
  return realFolder(dataDir);
}

/** Brokers are known by the path of their folder, hence always the same one, whatever links lead there. */
async function realFolder(dataDir: string): Promise<string> {
  return join(await realpath(dirname(dataDir)), basename(dataDir));
}

function lockFile(dataDir: string): string {
  return `${dataDir}.lock`;
}
