import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { link, mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '#kernel/observability/log.ts';
import { processExists, withLockFile } from '#kernel/postgres/embedded/lock-file.ts';
import type { Config } from '#src/config.ts';
import { createJob } from './jobs.ts';

const PROGRAM = join(import.meta.dirname, '../../simulator/main.ts');
const START_TIMEOUT_MS = 10_000;
const WATCH_MS = 1000;
const PROBE_TIMEOUT_MS = 1000;
/** How long one that lost its server may take to end. */
const END_LIMIT_MS = 3000;
const END_POLL_MS = 50;

/** The gateway simulator of this data folder, kept running as long as any server of the folder lives. */
export interface SimulatorProcess {
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * Finds the simulator that another server of the same data folder runs, or starts one as a process of its own. It keeps its
 * record in the folder, ends with the server that started it, and is then started again by one that remains, where it was.
 * There is never a second one on the folder: two would not know of each other's charges.
 * @throws Error when it cannot start; its reason is in simulator.log
 */
export async function runSimulator(
  config: Config,
  webhookUrl: string,
  webhookSecret: string,
  log: Log,
): Promise<SimulatorProcess> {
  const { dataDir } = config;
  let child: ChildProcess | undefined;

  const ensure = (port: number, onlyThere: boolean): Promise<string> =>
    withLockFile(join(dataDir, 'simulator.lock'), async () => {
      const known = await knownSimulator(dataDir);
      if (known !== undefined && (await staysThere(known))) return known.url;
      const env = {
        SIMULATOR_PORT: String(port),
        ...(onlyThere && { SIMULATOR_PORT_TRIES: '1' }),
        SIMULATOR_DATA_FILE: join(dataDir, 'simulator.jsonl'),
        CAUDAL_WEBHOOK_URL: webhookUrl,
        GATEWAY_WEBHOOK_SECRET: webhookSecret,
      };
      const started = await startProcess(dataDir, env);
      child = started.child;
      await writeFile(join(dataDir, 'simulator.url'), started.url);
      await writeFile(join(dataDir, 'simulator.pid'), String(child.pid));
      log.info({ url: started.url }, 'the gateway simulator runs');
      return started.url;
    });

  const url = await ensure(config.simulatorPort, false);
  const watch = async (): Promise<void> => {
    if (runs(child) || (await answers(url))) return;
    log.warn({ url }, 'the gateway simulator is gone; it is started again');
    await ensure(Number(new URL(url).port), true);
  };
  const watcher = createJob('gateway simulator', WATCH_MS, watch, log);
  watcher.start();

  return {
    url,
    stop: async () => {
      await watcher.stop();
      if (child === undefined || !runs(child)) return;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}

interface KnownSimulator {
  readonly url: string;
  readonly pid: number;
}

/** The one that was started last on this folder, whether it still runs or not. */
async function knownSimulator(dataDir: string): Promise<KnownSimulator | undefined> {
  const [url, pid] = await Promise.all(
    ['simulator.url', 'simulator.pid'].map((name) => readFile(join(dataDir, name), 'utf8').catch(ignoreMissing)),
  );
  return url === undefined || pid === undefined ? undefined : { url, pid: Number(pid) };
}

/**
 * False once its process has ended. One that just lost its server is waited for: until then it may write to its record. The
 * process must be the one we know, since another folder's simulator may answer at the address by now.
 */
async function staysThere({ url, pid }: KnownSimulator): Promise<boolean> {
  for (const deadline = Date.now() + END_LIMIT_MS; processExists(pid) && Date.now() < deadline; ) {
    if (await answers(url)) return true;
    await sleep(END_POLL_MS);
  }
  return false;
}

function runs(child: ChildProcess | undefined): boolean {
  return child !== undefined && child.exitCode === null && child.signalCode === null;
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}

function ignoreExisting(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'EEXIST') throw error;
}

async function startProcess(
  dataDir: string,
  settings: Readonly<Record<string, string>>,
): Promise<{ child: ChildProcess; url: string }> {
  const logFile = await open(join(dataDir, 'simulator.log'), 'a');
  const child = fork(PROGRAM, [], {
    env: { ...process.env, ...settings },
    stdio: ['ignore', logFile.fd, logFile.fd, 'ipc'],
    execArgv: [],
  });
  await logFile.close();
  return { child, url: await addressOf(child) };
}

function addressOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(
        new Error(
          `the gateway simulator did not start within ${START_TIMEOUT_MS} ms; see simulator.log in CAUDAL_DATA`,
        ),
      );
    }, START_TIMEOUT_MS);
    child.once('message', (message) => {
      clearTimeout(timer);
      resolve((message as { url: string }).url);
    });
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(
        new Error(
          `the gateway simulator ended with code ${code}; see simulator.log in CAUDAL_DATA, and SIMULATOR_PORT`,
        ),
      );
    });
  });
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/health`, { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) })).ok;
  } catch {
    return false;
  }
}

/** The key of webhook signatures: as configured, else one made at the first start and kept in the data folder. */
export async function webhookSecretOf(config: Config): Promise<string> {
  if (config.webhookSecret !== undefined) return config.webhookSecret;
  const file = join(config.dataDir, 'webhook.secret');
  await mkdir(config.dataDir, { recursive: true });
  // Linked when complete: a process that is killed here, or comes second, must not leave or find half a key.
  const draft = `${file}.${randomUUID()}`;
  await writeFile(draft, randomBytes(32).toString('hex'), { mode: 0o600 });
  await link(draft, file).catch(ignoreExisting);
  await rm(draft);
  return readFile(file, 'utf8');
}
