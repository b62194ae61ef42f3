import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Kafka } from '#kernel/bus/kafka/server/cluster.ts';
import { freePort } from '#kernel/net/free-port.ts';
import { createLog } from '#kernel/observability/log.ts';
import { type Database, openDatabase, SERVICES_WITH_TABLES } from '#src/composition/database.ts';
import { readConfig } from '#src/config.ts';
import { withDataFolder } from './data-folder.ts';
import { withKafka } from './kafka.ts';
import { endServerProcess, startServerProcess } from './server-process.ts';
import { type BenchBus, INSTANCED } from './shape.ts';

/** So many reads at once are enough where no API is. */
const POOL_OF_SERVICES = '4';
const HOST = '127.0.0.1';

export interface ServerOptions {
  /** Default: postgres. */
  readonly bus?: BenchBus | undefined;
  /** So many processes of each service, and one with the API; undefined: all in one process. At most `MAX_INSTANCES`. */
  readonly instances?: number | undefined;
  /** A folder for a CPU profile of each process, written when it stops. */
  readonly profile?: string | undefined;
  /** Told what is being done, for a person who waits. */
  readonly onPhase: (phase: string) => void;
}

/** A Caudal of our own with its PostgreSQL, and its Kafka if that is the bus, as processes of their own. */
export interface BenchServer {
  readonly dataDir: string;
  /** Of the API. */
  readonly port: number;
  readonly url: string;
  /** Of Caudal's processes. */
  readonly pids: readonly number[];
  readonly postgresPid: number;
  /** Undefined where the log is the bus. */
  readonly kafkaPid: number | undefined;
  readonly database: Database;
  /** Stops it and its PostgreSQL, and starts both on the same data. */
  restart(): Promise<void>;
  /** Stops it; its PostgreSQL goes on, and with it `database`. */
  halt(): Promise<void>;
  /**
   * Ends the server with SIGKILL, and PostgreSQL when asked for, which would else go on; until the next `start` there is no
   * server. Our own connections are closed before, or we would start PostgreSQL again ourselves.
   * @returns when it was, by `performance.now()`
   */
  kill(withPostgres: boolean): Promise<number>;
  /** Starts a server on the same data. Resolves when it says that it is ready. */
  start(): Promise<void>;
}

interface Running {
  readonly processes: readonly ChildProcess[];
  readonly database: Database;
  readonly postgresPid: number;
}

/**
 * Runs `work` with a server on an empty data folder and free ports, and leaves nothing behind, however it ends.
 * @throws Error with the end of its log when it does not start
 */
export function withBenchServer<T>(options: ServerOptions, work: (server: BenchServer) => Promise<T>): Promise<T> {
  return withDataFolder((dataDir) => {
    if (options.bus !== 'kafka') return runServer(dataDir, options, undefined, work);
    return withKafka(dataDir, options.onPhase, (kafka) => runServer(dataDir, options, kafka, work));
  });
}

async function runServer<T>(
  dataDir: string,
  options: ServerOptions,
  kafka: Kafka | undefined,
  work: (server: BenchServer) => Promise<T>,
): Promise<T> {
  const port = await freePort(HOST);
  const bus: Record<string, string> =
    kafka === undefined ? {} : { KAFKA_BROKERS: kafka.bootstrap.join(','), KAFKA_REPLICATION: '1' };
  let running: Running | undefined;
  const start = async (): Promise<void> => {
    options.onPhase('starting a server');
    running = await startServer(dataDir, port, bus, options);
  };
  const take = (): Running | undefined => {
    const taken = running;
    running = undefined;
    return taken;
  };
  const stop = async (): Promise<void> => {
    const stopped = take();
    if (stopped === undefined) return;
    await endAll(stopped.processes);
    await stopped.database.close();
  };
  try {
    await start();
    return await work({
      dataDir,
      port,
      url: `http://${HOST}:${port}`,
      get pids() {
        return running!.processes.map(({ pid }) => pid!);
      },
      get postgresPid() {
        return running!.postgresPid;
      },
      kafkaPid: kafka?.brokers[0]?.pid,
      get database() {
        return running!.database;
      },
      restart: async () => {
        await stop();
        await start();
      },
      halt: async () => {
        await endAll(running!.processes);
        running = { ...running!, processes: [] };
      },
      kill: async (withPostgres) => killServer(take()!, withPostgres),
      start,
    });
  } finally {
    await stop();
  }
}

async function startServer(
  dataDir: string,
  port: number,
  bus: Readonly<Record<string, string>>,
  { instances, profile }: ServerOptions,
): Promise<Running> {
  await writeFile(join(dataDir, 'server.pid'), '');
  const started = await Promise.allSettled(
    settingsOf(instances).map(async (settings, i) => {
      const env = { ...bus, ...settings };
      return startServerProcess({ dataDir, port: i === 0 ? port : await freePort(HOST), profile, env });
    }),
  );
  const processes = started.filter((result) => result.status === 'fulfilled').map(({ value }) => value);
  try {
    const failed = started.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    const config = readConfig({ CAUDAL_DATA: dataDir });
    const database = await openDatabase(config, createLog('silent'), SERVICES_WITH_TABLES);
    const pidFile = await readFile(join(dataDir, 'postgres/postmaster.pid'), 'utf8');
    return { processes, database, postgresPid: Number.parseInt(pidFile, 10) };
  } catch (cause) {
    await endAll(processes);
    throw cause;
  }
}

/** The settings of each process, that with the API first. What looks on is with the API, so that there is one of it too. */
function settingsOf(instances: number | undefined): readonly Readonly<Record<string, string>>[] {
  if (instances === undefined) return [{}];
  const services = INSTANCED.flatMap((service) => Array.from({ length: instances }, () => service));
  return [
    { CAUDAL_SERVICES: 'api,metrics' },
    ...services.map((service) => ({ CAUDAL_SERVICES: service, DATABASE_POOL_SIZE: POOL_OF_SERVICES })),
  ];
}

async function endAll(processes: readonly ChildProcess[]): Promise<void> {
  await Promise.all(processes.map(endServerProcess));
}

async function killServer({ processes, database, postgresPid }: Running, withPostgres: boolean): Promise<number> {
  await database.close();
  const ended = Promise.all(processes.map((child) => once(child, 'exit')));
  const killedAt = performance.now();
  for (const child of processes) child.kill('SIGKILL');
  if (withPostgres) process.kill(postgresPid, 'SIGKILL');
  await ended;
  return killedAt;
}
