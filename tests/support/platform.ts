import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after } from 'node:test';
import pg from 'pg';
import { connectionOptions } from '#kernel/postgres/driver.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '#kernel/postgres/embedded.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import type { ServiceName } from '#src/config.ts';
import { type Api, apiAt } from './api.ts';
import { temporaryDataFolder } from './data-folder.ts';
import { startIn } from './kafka.ts';

const PROGRAM = join(import.meta.dirname, '../../src/cli/main.ts');
const START_LIMIT_MS = 60_000;

/** How the servers of a test are made up; the same tests are run on all of them. */
export const SHAPES = ['one process', 'processes', 'kafka'] as const;
export type Shape = (typeof SHAPES)[number];

/** The shape that this run of the tests is for. */
export function shapeOfTests(): Shape {
  const named = process.env.CAUDAL_TEST_SHAPE ?? 'one process';
  const shape = SHAPES.find((candidate) => candidate === named);
  if (shape === undefined) throw new Error(`CAUDAL_TEST_SHAPE=${named}: known are ${SHAPES.join(', ')}`);
  return shape;
}

/** Kafka is to notice a process that has gone as soon as its brokers allow. */
const KAFKA_IN_TESTS = {
  KAFKA_REPLICATION: '1',
  KAFKA_SESSION_TIMEOUT_MS: '6000',
  KAFKA_HEARTBEAT_MS: '1000',
  KAFKA_FETCH_WAIT_MS: '100',
};

/** Environment variables of a server. */
export type Settings = Readonly<Record<string, string>>;

/** A server process and its API. */
export interface Server extends Api {
  readonly pid: number;
  /** The log lines so far, parsed. */
  readonly log: readonly LogLine[];
  /** Asks it to stop. @throws Error unless it ends with code 0 */
  end(): Promise<void>;
}

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly url?: string;
}

/** A data folder and the servers on it, the first of which runs. */
export interface Platform {
  readonly dataDir: string;
  /** The first server. */
  readonly api: Server;
  readonly simulator: Api;
  /** Starts another server on the same data. */
  startServer(): Promise<Server>;
  /** Asks the server to stop, as Ctrl-C does. @throws Error unless it ends with code 0 */
  stop(server: Server): Promise<void>;
  /** Stops the server and starts one again on the same data. */
  restart(server: Server): Promise<Server>;
  /** Where the embedded database is. */
  databaseUrl(): Promise<string>;
  /** Asks the database itself; that of payments where services have their own. */
  query: Sql['query'];
  /** The same of another service. */
  queryOf(service: ServiceName): Sql['query'];
  /** Holds a table, so that nobody else writes it. @returns lets it go */
  lock(table: string): Promise<() => Promise<void>>;
  /** Runs the command line. @returns what it printed, and its exit code */
  caudal(...args: readonly string[]): Promise<{ readonly code: number; readonly output: string }>;
}

/**
 * Starts the whole platform as a user does, on free ports and a temporary folder, for all the tests of the file that calls this;
 * all of it ends after the last one.
 */
export async function startPlatform(settings: Settings = {}): Promise<Platform> {
  const dataDir = await temporaryDataFolder();
  // Two requests at once are load enough for batches to be decided ahead.
  const env: Record<string, string> = {
    PATH: process.env.PATH ?? '',
    // Processes that start the same program are quicker when one has compiled it for all.
    ...(process.env.NODE_COMPILE_CACHE && { NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE }),
    CAUDAL_DATA: dataDir,
    PORT: '0',
    SIMULATOR_PORT: '0',
    BATCH_AHEAD_MIN: '1',
    ...settings,
  };
  const shape = shapeOfTests();
  const servers: Server[] = [];
  const ends: (() => Promise<void>)[] = [() => rm(dataDir, { recursive: true })];
  after(async () => {
    for (const server of [...servers]) await stop(server);
    for (const end of ends.reverse()) await end();
  });
  if (shape === 'kafka') {
    const folder = await temporaryDataFolder();
    const kafka = await startIn(folder);
    ends.push(async () => {
      for (const { id } of kafka.brokers) await kafka.killBroker(id);
      await rm(folder, { recursive: true });
    });
    Object.assign(env, { KAFKA_BROKERS: kafka.bootstrap.join(','), ...KAFKA_IN_TESTS });
  }
  if (shape === 'kafka') {
    const postgres = await startWithOwnDatabases(dataDir, env);
    ends.push(() => postgres.stop());
  }
  const startServer = async (): Promise<Server> => {
    const server = shape === 'one process' ? await startProcess(env) : await startCell(env);
    servers.push(server);
    return server;
  };
  const stop = async (server: Server): Promise<void> => {
    servers.splice(servers.indexOf(server), 1);
    await server.end();
  };
  const api = await startServer();
  const queryOf =
    (service: ServiceName): Sql['query'] =>
    async (text, values = []) => {
      const url = env[`DATABASE_URL_${service.toUpperCase()}`] ?? (await databaseUrl(dataDir));
      const client = await connect(url);
      const { rows } = await client.query(text, [...values]).finally(() => client.end());
      return rows;
    };
  return {
    dataDir,
    api,
    simulator: apiAt(await readFile(join(dataDir, 'simulator.url'), 'utf8')),
    startServer,
    stop,
    restart: async (server) => {
      await stop(server);
      return startServer();
    },
    databaseUrl: () => databaseUrl(dataDir),
    query: queryOf('payments'),
    queryOf,
    lock: async (table) => {
      const client = await connect(await databaseUrl(dataDir));
      await client.query(`BEGIN; LOCK TABLE ${table} IN EXCLUSIVE MODE`);
      return () => client.end();
    },
    caudal: (...args) => runProgram(args, { ...env, CAUDAL_URL: api.url }),
  };
}

/** The services that take part in payments in processes of their own, and one that serves all of the API. */
const CELL = ['payments', 'gateway', 'wallets', 'fraud,catalog,inventory,purchases,metrics', 'api'] as const;
/** Where Kafka is between the services, these have databases of their own; the others share one. All are in one PostgreSQL, which stays. */
const APART = ['gateway', 'wallets', 'fraud'] as const;

async function startWithOwnDatabases(dataDir: string, env: Record<string, string>): Promise<EmbeddedPostgres> {
  const log = { info: () => undefined, warn: console.warn, error: console.error };
  const postgres = await startEmbeddedPostgres({ dataDir: join(dataDir, 'postgres'), log });
  const client = await connect(postgres.url);
  for (const service of APART) {
    await client.query(`CREATE DATABASE ${service}`);
    env[`DATABASE_URL_${service.toUpperCase()}`] = Object.assign(new URL(postgres.url), { pathname: service }).href;
  }
  await client.end();
  return postgres;
}

/** A server in several processes: what it answers is what the one with the API does; its metrics are those of all. */
async function startCell(env: Settings): Promise<Server> {
  const processes = await startAll(CELL.map((role) => ({ ...env, CAUDAL_SERVICES: role, DATABASE_POOL_SIZE: '4' })));
  const api = processes.at(-1)!;
  return {
    ...api,
    get log() {
      return processes.flatMap((one) => one.log);
    },
    get: async (path) => {
      const answer = await api.get(path);
      if (path !== '/metrics' && path !== '/health') return answer;
      const others = await Promise.all(processes.slice(0, -1).map((one) => one.get(path)));
      const all = [answer, ...others];
      if (path === '/metrics') return { ...answer, text: sumOf(all.map(({ text }) => text)) };
      const worst =
        all.find(({ status }) => status !== 200) ?? all.find(({ body }) => body.status !== 'healthy') ?? answer;
      return { ...worst, body: { ...worst.body, checks: Object.assign({}, ...all.map(({ body }) => body.checks)) } };
    },
    end: () => endAll(processes),
  };
}

/** Metrics of several processes as those of one: what has the same name and labels is added up. */
function sumOf(texts: readonly string[]): string {
  const sums = new Map<string, number>();
  for (const [, series, value] of texts.join('\n').matchAll(/^(\w.*) (\S+)$/gm))
    sums.set(series!, (sums.get(series!) ?? 0) + Number(value));
  const comments = texts.join('\n').match(/^# .*$/gm) ?? [];
  return [...new Set(comments), ...[...sums].map(([series, value]) => `${series} ${value}`)].join('\n');
}

/** Starts processes side by side; when one does not start, the others end too. */
async function startAll(environments: readonly Settings[]): Promise<readonly Server[]> {
  const started = await Promise.allSettled(environments.map(startProcess));
  const failed = started.find((result) => result.status === 'rejected');
  const servers = started.filter((result) => result.status === 'fulfilled').map(({ value }) => value);
  if (failed === undefined) return servers;
  await endAll(servers).catch(() => undefined);
  throw failed.reason;
}

/** Ends processes side by side, as a laptop that is shut down does. @throws Error when one does not end in good order */
async function endAll(servers: readonly Server[]): Promise<void> {
  const ended = await Promise.allSettled(servers.map((server) => server.end()));
  const failed = ended.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

/** Starts one server process with these environment variables only. It ends with this process at the latest. */
export async function startProcess(env: Settings): Promise<Server> {
  const child = spawn(process.execPath, [PROGRAM, 'start'], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  const killIt = (): void => void child.kill('SIGKILL');
  process.on('exit', killIt);
  const exit = once(child, 'exit').then(([code, signal]) => String(signal ?? code));
  void exit.then(() => process.off('exit', killIt));
  const log: LogLine[] = [];
  const url = await addressOf(child, log);
  return {
    ...apiAt(url),
    pid: child.pid!,
    log,
    end: async () => {
      child.kill('SIGTERM');
      const ended = await exit;
      if (ended !== '0') throw new Error(`the server ended with ${ended}; its last words: ${lastOf(log)}`);
    },
  };
}

/** Reads the log until it says where the API is, and goes on keeping it. */
function addressOf(child: ChildProcess, log: LogLine[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (reason: string): void => reject(new Error(`the server ${reason}; its last words: ${lastOf(log)}`));
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      fail('does not start');
    }, START_LIMIT_MS);
    child.once('exit', () => {
      clearTimeout(timer);
      fail('ended');
    });
    createInterface({ input: child.stderr! }).on('line', (line) => {
      const entry: LogLine = line.startsWith('{') ? JSON.parse(line) : { level: 'TEXT', message: line };
      log.push(entry);
      if (entry.message !== 'Caudal runs' || entry.url === undefined) return;
      clearTimeout(timer);
      resolve(entry.url);
    });
  });
}

function lastOf(log: readonly LogLine[]): string {
  return log
    .slice(-20)
    .map((line) => JSON.stringify(line))
    .join('\n');
}

async function databaseUrl(dataDir: string): Promise<string> {
  const [password, port] = await Promise.all(
    ['password', 'port'].map((name) => readFile(join(dataDir, `postgres.${name}`), 'utf8')),
  );
  return `postgres://caudal:${password!.trim()}@127.0.0.1:${port!.trim()}/caudal`;
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client(connectionOptions(url, 'test'));
  await client.connect();
  return client;
}

async function runProgram(args: readonly string[], env: Settings) {
  const child = spawn(process.execPath, [PROGRAM, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
  }
  const [code] = await once(child, 'close');
  return { code: Number(code), output };
}
