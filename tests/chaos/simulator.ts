import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from '../support/until.ts';
import type { Guardian } from './guardian.ts';
import { signal } from './processes.ts';

const CALL_LIMIT_MS = 2000;
const PROGRAM = join(import.meta.dirname, '../../simulator/main.ts');

/** The gateway simulator as a program of its own, that nobody starts again but its operator. */
export interface Simulator {
  readonly url: string;
  readonly pid: number;
  /** Starts it, and waits until it answers. Its record is the former one's. */
  start(): Promise<void>;
  kill(): void;
}

export interface SimulatorOptions {
  /** Where its record and its log are kept. */
  readonly folder: string;
  readonly port: number;
  readonly webhookUrl: string;
  readonly webhookSecret: string;
}

/** @param guardian is told of each process */
export async function createSimulatorProcess(options: SimulatorOptions, guardian: Guardian): Promise<Simulator> {
  const { folder, port, webhookUrl, webhookSecret } = options;
  const url = `http://127.0.0.1:${port}`;
  let pid = 0;

  const start = async (): Promise<void> => {
    const log = await open(join(folder, 'simulator.log'), 'a');
    const env = {
      PATH: process.env.PATH,
      SIMULATOR_PORT: String(port),
      SIMULATOR_PORT_TRIES: '1',
      SIMULATOR_DATA_FILE: join(folder, 'simulator.jsonl'),
      CAUDAL_WEBHOOK_URL: webhookUrl,
      GATEWAY_WEBHOOK_SECRET: webhookSecret,
    };
    const child = spawn(process.execPath, [PROGRAM], { env, stdio: ['ignore', log.fd, log.fd] });
    await log.close();
    pid = child.pid!;
    guardian.watch(pid);
    await until('the gateway simulator answers', () =>
      fetch(`${url}/health`, { signal: AbortSignal.timeout(CALL_LIMIT_MS) }).then(
        ({ ok }) => ok,
        () => false,
      ),
    );
  };

  await start();
  return {
    url,
    get pid() {
      return pid;
    },
    start,
    kill: () => signal([pid], 'SIGKILL'),
  };
}
