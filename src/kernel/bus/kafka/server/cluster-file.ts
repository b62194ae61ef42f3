import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Installation } from './install.ts';
import { type BrokerPlace, serverProperties } from './properties.ts';

const DRAFT_MARK = '.draft-';

/** The file cluster.json of a Kafka data folder: what the brokers in it have in common. */
export interface Cluster {
  readonly clusterId: string;
  readonly brokers: readonly BrokerPlace[];
}

/** The cluster whose data are in the folder; undefined when there is none. */
export async function readCluster(dataDir: string): Promise<Cluster | undefined> {
  const text = await readFile(clusterFile(dataDir), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  return text === undefined ? undefined : JSON.parse(text);
}

/** Replaces cluster.json in one step, so that nobody reads half of it. */
export async function writeCluster(dataDir: string, cluster: Cluster): Promise<void> {
  const draft = `${clusterFile(dataDir)}.draft`;
  await writeFile(draft, `${JSON.stringify(cluster, null, 2)}\n`);
  await rename(draft, clusterFile(dataDir));
}

/** The folder of one broker: server.properties, broker.pid, its logs, and its data in `data`. */
export function brokerFolder(dataDir: string, id: number): string {
  return join(dataDir, `broker-${id}`);
}

/** Where a broker keeps what it was given. */
export function logDirOf(dataDir: string, id: number): string {
  return join(brokerFolder(dataDir, id), 'data');
}

/**
 * Makes the data folder of a new cluster, under another name until each broker's storage is formatted, so an interrupted attempt
 * leaves nothing that looks finished. To be called under the folder's lock.
 * @throws Error with Kafka's own reason, or when the folder holds something else
 */
export async function createCluster(
  dataDir: string,
  brokers: readonly BrokerPlace[],
  installation: Installation,
): Promise<Cluster> {
  await assertEmpty(dataDir);
  await removeDrafts(dataDir);
  const draft = `${dataDir}${DRAFT_MARK}${process.pid}`;
  const cluster: Cluster = { clusterId: newClusterId(), brokers };
  await mkdir(draft);
  await Promise.all(brokers.map((broker) => format(draft, cluster, broker, installation)));
  await writeCluster(draft, cluster);
  await rename(draft, dataDir);
  return cluster;
}

async function assertEmpty(dataDir: string): Promise<void> {
  const entries = await readdir(dataDir).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  if (entries.length === 0) return;
  throw new Error(
    `${dataDir} holds files, but no cluster.json of Kafka's: remove it, or set CAUDAL_DATA to another folder`,
  );
}

async function removeDrafts(dataDir: string): Promise<void> {
  const parent = dirname(dataDir);
  for (const entry of await readdir(parent)) {
    if (entry.startsWith(basename(dataDir) + DRAFT_MARK)) await rm(join(parent, entry), { recursive: true });
  }
}

/** 16 random bytes, in the notation that Kafka has for them: an id that begins with a hyphen would look like an option. */
function newClusterId(): string {
  const id = randomBytes(16).toString('base64url');
  return id.startsWith('-') ? newClusterId() : id;
}

async function format(
  draft: string,
  { clusterId, brokers }: Cluster,
  broker: BrokerPlace,
  { java, classpath }: Installation,
): Promise<void> {
  const properties = join(brokerFolder(draft, broker.id), 'server.properties');
  await mkdir(brokerFolder(draft, broker.id));
  const logDir = logDirOf(draft, broker.id);
  // How clients log in does not concern the storage, and a password is written where it is needed only.
  await writeFile(properties, serverProperties({ broker, brokers, logDir, sasl: undefined, tls: undefined }), {
    mode: 0o600,
  });
  const tool = ['kafka.tools.StorageTool', 'format', '--cluster-id', clusterId, '--config', properties];
  const options = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', classpath];
  await promisify(execFile)(java, [...options, ...tool]).catch(
    (cause: Error & { stderr?: string; stdout?: string }) => {
      const reason = `${cause.stderr ?? ''}${cause.stdout ?? ''}`.trim().replaceAll('\n', ' ') || cause.message;
      throw new Error(`Kafka could not format the storage of broker ${broker.id}: ${reason}`, { cause });
    },
  );
}

function clusterFile(dataDir: string): string {
  return join(dataDir, 'cluster.json');
}
