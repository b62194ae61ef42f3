import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { commandLineOf, signalProcess } from '#kernel/postgres/embedded/postmaster.ts';
import { logSize, readLog } from '#kernel/postgres/embedded/server-log.ts';
import type { Installation, KafkaLog } from './install.ts';
import { HOST } from './properties.ts';

const LOG_SETTINGS = join(import.meta.dirname, 'broker-log4j2.properties');
const MAIN_CLASS = 'kafka.Kafka';
const POLL_MS = 50;
const CONNECT_LIMIT_MS = 2_000;
const START_LIMIT_MS = 120_000;
const STOP_LIMIT_MS = 30_000;
const KILL_LIMIT_MS = 10_000;

/** The shell notes its process id, which becomes Java's: not even a kill between two steps leaves a broker that nobody knows of. */
const RUN = 'echo $$ > "$1" && shift && exec "$@" < /dev/null';
/**
 * Before that, a shell is left behind that kills the broker when the other end of the standard input is gone without a word. Only
 * so does a broker end with a caller that is killed itself and can do nothing any more. The word says that the broker ended first,
 * and that its process id may belong to another program by now.
 */
const WATCH = 'exec 3<&0; (read -r ended <&3 || kill -KILL $$) & exec 3<&-; ';

/** How long a broker lives: with the process that starts it, however that ends, or until it is stopped. */
export type Lifetime = 'caller' | 'detached';

/** Which broker, and where it is. */
interface BrokerAddress {
  readonly id: number;
  /** Absolute, without links. */
  readonly folder: string;
  readonly port: number;
}

/** All that the start of a broker needs to know. */
export interface Launch extends BrokerAddress {
  /** The text of its server.properties. */
  readonly properties: string;
  readonly installation: Installation;
  /** Its limit of memory, and the like. */
  readonly javaOptions: readonly string[];
  readonly lifetime: Lifetime;
}

/** A broker that was just launched. */
export interface Launched {
  readonly pid: number;
  /** Resolves when it takes connections and works. @throws Error with Kafka's own reason when it ends or is not ready in time */
  ready(): Promise<void>;
}

/** The file that a broker writes its log to. */
export function logFileOf(folder: string): string {
  return join(folder, 'kafka.log');
}

/** The process id of the broker whose folder this is; undefined when it does not run. */
export async function brokerPid(folder: string): Promise<number | undefined> {
  const pid = Number(await readFile(pidFile(folder), 'utf8').catch(() => '0'));
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  // The file outlives a broker that was killed, and by then the id may belong to another program: what it runs tells.
  const command = await commandLineOf(pid);
  const ours = command
    ?.replaceAll('\0', ' ')
    .trimEnd()
    .endsWith(` ${MAIN_CLASS} ${propertiesFile(folder)}`);
  return ours === true ? pid : undefined;
}

/** Whether the broker takes connections. */
export function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: HOST, port });
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(CONNECT_LIMIT_MS, () => end(false));
    socket.on('connect', () => end(true)).on('error', () => end(false));
  });
}

/** Starts the broker's process. Brokers of one cluster become ready together only. */
export async function launchBroker(launch: Launch): Promise<Launched> {
  const { folder, lifetime } = launch;
  await rm(pidFile(folder), { force: true });
  await writeFile(propertiesFile(folder), launch.properties, { mode: 0o600 });
  const logStart = await logSize(logFileOf(folder));
  const output = await open(outputFile(folder), 'w', 0o600);
  const script = lifetime === 'caller' ? WATCH + RUN : RUN;
  const stdin = lifetime === 'caller' ? 'pipe' : 'ignore';
  const child = spawn('sh', ['-c', script, 'sh', pidFile(folder), ...javaCommand(launch)], {
    cwd: folder,
    detached: true,
    stdio: [stdin, output.fd, output.fd],
  });
  try {
    await once(child, 'spawn');
  } finally {
    await output.close();
  }
  child.unref();
  if (child.stdin !== null) sayWhenEnded(child, child.stdin);
  const alive = () => child.exitCode === null && child.signalCode === null;
  return { pid: child.pid!, ready: () => becomesReady(launch, alive, logStart) };
}

function javaCommand({ folder, installation, javaOptions }: Launch): string[] {
  // A broker that has no memory left answers some and not others; one that is gone is noticed.
  const options = [...javaOptions, '-XX:+ExitOnOutOfMemoryError', '-Djava.awt.headless=true'];
  options.push(`-Dlog4j2.configurationFile=${LOG_SETTINGS}`, `-Dcaudal.kafka.log=${logFileOf(folder)}`);
  return [installation.java, ...options, '-cp', installation.classpath, MAIN_CLASS, propertiesFile(folder)];
}

function sayWhenEnded(child: ChildProcess, stdin: Writable): void {
  // The watcher may be gone; then there is nobody to tell.
  stdin.on('error', () => undefined);
  child.on('exit', () => stdin.end('ended\n'));
  (stdin as unknown as { unref(): void }).unref();
}

/** Waits for a broker that somebody else has started, maybe a moment ago. @throws Error as `ready` of one just launched does */
export async function runningBrokerReady(broker: BrokerAddress): Promise<void> {
  const alive = async () => (await brokerPid(broker.folder)) !== undefined;
  await becomesReady(broker, alive, 0);
}

/**
 * The port is open before the broker takes part in its cluster; that it does so, it says on its standard output, which holds
 * nothing from before its start.
 */
async function becomesReady(
  { folder, id, port }: BrokerAddress,
  alive: () => boolean | Promise<boolean>,
  logStart: number,
): Promise<void> {
  const deadline = Date.now() + START_LIMIT_MS;
  while (await alive()) {
    const output = await readFile(outputFile(folder), 'utf8');
    if (output.includes('Kafka Server started') && (await answers(port))) return;
    if (Date.now() >= deadline) {
      throw new Error(`Broker ${id} was not ready after ${START_LIMIT_MS / 1000} s (log: ${logFileOf(folder)})`);
    }
    await sleep(POLL_MS);
  }
  throw new Error(`Broker ${id} did not start: ${await failureReason(folder, logStart)} (log: ${logFileOf(folder)})`);
}

/** The exception in the log of this start, else what Java itself said. */
async function failureReason(folder: string, logStart: number): Promise<string> {
  const log = await readLog(logFileOf(folder), logStart).catch(() => '');
  const [, exception] = /^(?:Caused by: )?[\w.$]+(?:Exception|Error): (.+)$/m.exec(log) ?? [];
  const [, error] = /^\S+ (?:ERROR|FATAL) (.+)$/m.exec(log) ?? [];
  const output = (await readFile(outputFile(folder), 'utf8')).trim().replaceAll('\n', ' ');
  return exception ?? error ?? (output || 'it gave no reason');
}

/** Stops the broker in good order, and kills it when it does not end in time. @throws Error when even that does not end it */
export async function stopBroker(id: number, folder: string, log: KafkaLog): Promise<void> {
  const pid = await brokerPid(folder);
  if (pid === undefined) return;
  signalProcess(pid, 'SIGTERM');
  if (await ends(folder, pid, STOP_LIMIT_MS)) return;
  log.warn(`Broker ${id} is slow to stop: it is killed, and will recover at the next start`);
  await killBroker(id, folder);
}

/** Kills the broker at once. @throws Error when it does not end */
export async function killBroker(id: number, folder: string): Promise<void> {
  const pid = await brokerPid(folder);
  if (pid === undefined) return;
  signalProcess(pid, 'SIGKILL');
  if (!(await ends(folder, pid, KILL_LIMIT_MS))) throw new Error(`Broker ${id} (process ${pid}) does not end`);
}

async function ends(folder: string, pid: number, limitMs: number): Promise<boolean> {
  const deadline = Date.now() + limitMs;
  while ((await brokerPid(folder)) === pid) {
    if (Date.now() >= deadline) return false;
    await sleep(POLL_MS);
  }
  return true;
}

function pidFile(folder: string): string {
  return join(folder, 'broker.pid');
}

function propertiesFile(folder: string): string {
  return join(folder, 'server.properties');
}

function outputFile(folder: string): string {
  return join(folder, 'kafka.out');
}
