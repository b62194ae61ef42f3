import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../support/until.ts';
import type { Guardian } from './guardian.ts';
import { signal } from './processes.ts';
import type { World } from './world.ts';

export const PROGRAM = join(import.meta.dirname, '../../src/cli/main.ts');
const CLOCK = join(import.meta.dirname, 'stepped-clock.ts');
const READY_LIMIT_MS = 180_000;
const STOP_LIMIT_MS = 60_000;
const POLL_MS = 50;

/**
 * What differs from a user's settings, so that many disasters fit into minutes: a process that died is taken for dead, a
 * call that hangs for lost, and a gateway for mended, sooner; and batches are decided ahead although there are few requests.
 */
const SETTINGS = {
  LOG_LEVEL: 'info',
  BUS_HEARTBEAT_MS: '300',
  BATCH_AHEAD_MIN: '2',
  BUS_LEASE_MS: '1500',
  GATEWAY_DEADLINE_MS: '500',
  GATEWAY_BREAKER_OPEN_MS: '1000',
};

/** A fraud check that says no now and then, but not because there is load. */
const FRAUD_RULES = { rules: [{ name: 'blocked', action: 'decline', when: { customer_in: ['blocked-customer'] } }] };

/** A server process. */
export interface Server {
  readonly url: string;
  /** Which of the servers that may run at a time. */
  readonly place: number;
  readonly port: number;
  readonly pid: number;
  /** `code 0`, `SIGKILL`…; undefined while it runs. */
  readonly ended: string | undefined;
  /** Resolves with how it ended. */
  readonly exit: Promise<string>;
}

/** The servers of one platform. */
export interface Harness {
  /** Those that were started and have not ended. */
  readonly servers: readonly Server[];
  /** Those of them that clients may ask. */
  readonly asked: readonly Server[];
  /** How those ended that nobody killed or stopped. */
  readonly crashes: readonly string[];
  /** Starts a server on a place that no other of them has; it is not ready yet. */
  start(): Server;
  /** Waits until it takes requests. @throws Error when it ends instead, or takes too long */
  ready(server: Server): Promise<void>;
  kill(server: Server): Promise<void>;
  /** Asks it to stop, as Ctrl-C does. @returns how it ended */
  stop(server: Server): Promise<string>;
  /** Makes its clock differ by so many milliseconds from that of the machine. It must be ready. */
  setClock(server: Server, offsetMs: number): Promise<void>;
  /** Kills what still runs. */
  close(): Promise<void>;
}

export interface HarnessPorts {
  readonly dataDir: string;
  /** What the servers stand on. */
  readonly world: Pick<World, 'settingsOf' | 'servesApi'>;
  readonly ports: readonly number[];
  readonly guardian: Guardian;
}

export async function createHarness({ dataDir, world, ports, guardian }: HarnessPorts): Promise<Harness> {
  const rulesFile = join(dataDir, 'fraud-rules.json');
  await writeFile(rulesFile, JSON.stringify(FRAUD_RULES));
  const outputs = ports.map((_, place) => createWriteStream(join(dataDir, `server-${place}.log`), { flags: 'a' }));
  const crashes: string[] = [];
  const condemned = new Set<Server>();
  let servers: Server[] = [];

  const clockFile = (place: number) => join(dataDir, `clock-${place}`);

  const start = (): Server => {
    const place = ports.findIndex((_, candidate) => servers.every((server) => server.place !== candidate));
    const env = {
      ...SETTINGS,
      PATH: process.env.PATH,
      // Processes that start the same program are quicker when one has compiled it for all.
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
      FRAUD_RULES_FILE: rulesFile,
      PORT: String(ports[place]),
      CHAOS_CLOCK_FILE: clockFile(place),
      ...world.settingsOf(place),
    };
    const args = ['--import', CLOCK, PROGRAM, 'start'];
    const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    guardian.watch(child.pid!);
    child.stdout.pipe(outputs[place]!, { end: false });
    child.stderr.pipe(outputs[place]!, { end: false });
    const server = watch(child, place, ports[place]!);
    servers.push(server);
    void server.exit.then((ended) => {
      servers = servers.filter((other) => other !== server);
      if (!condemned.has(server)) crashes.push(`a server ended by itself: ${ended}`);
    });
    return server;
  };

  const end = (server: Server, how: NodeJS.Signals): Promise<string> => {
    condemned.add(server);
    if (server.ended === undefined) process.kill(server.pid, how);
    return server.exit;
  };

  return {
    get servers() {
      return servers;
    },
    get asked() {
      return servers.filter(({ place }) => world.servesApi(place));
    },
    start,
    ready,
    crashes,
    kill: async (server) => void (await end(server, 'SIGKILL')),
    stop: async (server) => {
      const ended = await Promise.race([end(server, 'SIGTERM'), sleep(STOP_LIMIT_MS, undefined, { ref: false })]);
      if (ended !== undefined) return ended;
      await end(server, 'SIGKILL');
      return `nothing: it still ran after ${STOP_LIMIT_MS} ms`;
    },
    setClock: async (server, offsetMs) => {
      const file = clockFile(server.place);
      await rm(`${file}.set`, { force: true });
      await writeFile(file, String(offsetMs));
      signal([server.pid], 'SIGUSR2');
      await until('the clock is set', () => server.ended !== undefined || existsSync(`${file}.set`));
    },
    close: async () => {
      await Promise.all(servers.map((server) => end(server, 'SIGKILL')));
      for (const output of outputs) output.end();
    },
  };
}

function watch(child: ChildProcess, place: number, port: number): Server {
  let ended: string | undefined;
  const exit = once(child, 'exit').then(([code, signal]) => {
    ended = signal === null ? `code ${code}` : String(signal);
    return ended;
  });
  return {
    url: `http://127.0.0.1:${port}`,
    place,
    port,
    pid: child.pid!,
    get ended() {
      return ended;
    },
    exit,
  };
}

async function ready(server: Server): Promise<void> {
  const deadline = Date.now() + READY_LIMIT_MS;
  while (!(await isReady(server.url))) {
    if (server.ended !== undefined) throw new Error(`the server ended while it started: ${server.ended}`);
    if (Date.now() > deadline) throw new Error(`the server is not ready after ${READY_LIMIT_MS} ms`);
    await sleep(POLL_MS);
  }
}

async function isReady(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(2000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    // Nobody listens there yet.
    return false;
  }
}
