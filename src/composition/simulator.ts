import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '#src/config.ts';
import { toError } from '#kernel/core/errors.ts';
import type { Log } from '#kernel/observability/log.ts';

const PROGRAM = join(import.meta.dirname, '../../simulator/main.ts');
const START_TIMEOUT_MS = 10_000;
const WATCH_MS = 1000;
const PROBE_TIMEOUT_MS = 1000;

/** The gateway simulator of this data folder, kept running as long as any server of the folder lives. */
export interface SimulatorProcess {
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * Finds the simulator that another server of the same data folder runs, or starts one as a process of its own. It keeps its
 * record in the folder, ends with the server that started it, and is then started again by one that remains.
 * @throws Error when it cannot start; its reason is in simulator.log
 */
export async function runSimulator(config: Config, webhookUrl: string, webhookSecret: string, log: Log): Promise<SimulatorProcess> {
  const addressFile = join(config.dataDir, 'simulator.url');
  let child: ChildProcess | undefined;
  let stopped = false;

  const start = async (port: number): Promise<string> => {
    const started = await startProcess(config, port, webhookUrl, webhookSecret);
    child = started.child;
    await writeFile(addressFile, started.url);
    log.info({ url: started.url }, 'the gateway simulator runs');
    return started.url;
  };

  const known = await readFile(addressFile, 'utf8').catch(() => undefined);
  const adopted = known !== undefined && (await answers(known));
  const url = adopted ? known : await start(config.simulatorPort);

  const watch = async (): Promise<void> => {
    if (stopped || (child !== undefined && child.exitCode === null && child.signalCode === null) || (await answers(url))) return;
    log.warn({ url }, 'the gateway simulator is gone; it is started again');
    await start(Number(new URL(url).port)).catch((cause) => log.error({ error: toError(cause) }, 'the gateway simulator does not start'));
  };
  const timer = setInterval(() => void watch(), WATCH_MS);

  return {
    url,
    stop: async () => {
      stopped = true;
      clearInterval(timer);
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise((resolve) => child!.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
    },
  };
}

async function startProcess(config: Config, port: number, webhookUrl: string, webhookSecret: string): Promise<{ child: ChildProcess; url: string }> {
  const logFile = await open(join(config.dataDir, 'simulator.log'), 'a');
  const child = fork(PROGRAM, [], {
    env: {
      ...process.env,
      SIMULATOR_PORT: String(port),
      SIMULATOR_DATA_FILE: join(config.dataDir, 'simulator.jsonl'),
      CAUDAL_WEBHOOK_URL: webhookUrl,
      GATEWAY_WEBHOOK_SECRET: webhookSecret,
    },
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
      reject(new Error(`the gateway simulator did not start within ${START_TIMEOUT_MS} ms; see simulator.log in CAUDAL_DATA`));
    }, START_TIMEOUT_MS);
    child.once('message', (message) => {
      clearTimeout(timer);
      resolve((message as { url: string }).url);
    });
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`the gateway simulator ended with code ${code}; see simulator.log in CAUDAL_DATA, and SIMULATOR_PORT`));
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
  try {
    await writeFile(file, randomBytes(32).toString('hex'), { flag: 'wx', mode: 0o600 });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
  }
  return readFile(file, 'utf8');
}
