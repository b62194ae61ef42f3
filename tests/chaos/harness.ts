import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const PROGRAM = join(import.meta.dirname, '../../src/cli/main.ts');
const MAX_SERVERS = 2;
const READY_LIMIT_MS = 90_000;
const STOP_LIMIT_MS = 60_000;
const POLL_MS = 50;

/**
 * What differs from a user's settings, so that twenty kills fit into minutes: a process that died is taken for dead, a
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
  readonly port: number;
  readonly pid: number;
  /** `code 0`, `SIGKILL`…; undefined while it runs. */
  readonly ended: string | undefined;
  /** Resolves with how it ended. */
  readonly exit: Promise<string>;
}

/** The servers on one data folder. */
export interface Harness {
  readonly dataDir: string;
  /** Those that were started and have not ended. */
  readonly servers: readonly Server[];
  /** How those ended that nobody killed or stopped. */
  readonly crashes: readonly string[];
  /** Starts a server on a port that no other of them uses; it is not ready yet. */
  start(): Server;
  /** Waits until it takes requests. @throws Error when it ends instead, or takes too long */
  ready(server: Server): Promise<void>;
  kill(server: Server): Promise<void>;
  /** Asks it to stop, as Ctrl-C does. @returns how it ended */
  stop(server: Server): Promise<string>;
  /** Kills what still runs. */
  close(): Promise<void>;
}

/** @param dataDir an empty folder */
export async function createHarness(dataDir: string): Promise<Harness> {
  const ports = await freePorts(MAX_SERVERS + 1);
  const simulatorPort = ports.pop()!;
  const rulesFile = join(dataDir, 'fraud-rules.json');
  await writeFile(rulesFile, JSON.stringify(FRAUD_RULES));
  const output = createWriteStream(join(dataDir, 'servers.log'), { flags: 'a' });
  const crashes: string[] = [];
  const condemned = new Set<Server>();
  let servers: Server[] = [];

  const start = (): Server => {
    const port = ports.find((candidate) => servers.every((server) => server.port !== candidate))!;
    const env = {
      ...SETTINGS,
      PATH: process.env.PATH,
      CAUDAL_DATA: dataDir,
      FRAUD_RULES_FILE: rulesFile,
      PORT: String(port),
      SIMULATOR_PORT: String(simulatorPort),
    };
    const child = spawn(process.execPath, [PROGRAM, 'start'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.pipe(output, { end: false });
    child.stderr.pipe(output, { end: false });
    const server = watch(child, port);
    servers.push(server);
    void server.exit.then((ended) => {
      servers = servers.filter((other) => other !== server);
      if (!condemned.has(server)) crashes.push(`a server ended by itself: ${ended}`);
    });
    return server;
  };

  const end = (server: Server, signal: NodeJS.Signals): Promise<string> => {
    condemned.add(server);
    if (server.ended === undefined) process.kill(server.pid, signal);
    return server.exit;
  };

  const killAll = (): void => {
    for (const { pid } of servers) process.kill(pid, 'SIGKILL');
  };
  process.on('exit', killAll);

  return {
    dataDir,
    get servers() {
      return servers;
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
    close: async () => {
      process.off('exit', killAll);
      await Promise.all(servers.map((server) => end(server, 'SIGKILL')));
      output.end();
    },
  };
}

function watch(child: ChildProcess, port: number): Server {
  let ended: string | undefined;
  const exit = once(child, 'exit').then(([code, signal]) => {
    ended = signal === null ? `code ${code}` : String(signal);
    return ended;
  });
  return {
    url: `http://127.0.0.1:${port}`,
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

/** Ports that are free now, each another one. */
async function freePorts(count: number): Promise<number[]> {
  const probes = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(probes.map((probe) => once(probe, 'listening')));
  const ports = probes.map((probe) => (probe.address() as { port: number }).port);
  await Promise.all(probes.map((probe) => once(probe.close(), 'close')));
  return ports;
}
