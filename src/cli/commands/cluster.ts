import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { createLog, type Log } from '#kernel/observability/log.ts';
import { createJob } from '#src/composition/jobs.ts';
import { type Config, readConfig } from '#src/config.ts';
import { createGround, type Ground, type OpenGround } from '../cluster/ground.ts';
import { createInstance, type Instance } from '../cluster/instance.ts';
import { type ClusterView, createObserver } from '../cluster/look.ts';
import { MAX_INSTANCES, type Planned, planOf, smallestPlan } from '../cluster/plan.ts';
import { type Display, jsonLines, liveTable, plainLines } from '../cluster/show.ts';
import { CliError } from '../failure.ts';
import { logDestination } from '../log-lines.ts';
import { withExample, withJson } from '../options.ts';

const FORCED = 1;
/** What is still open then is left to end by itself. */
const FORCED_LIMIT_MS = 5_000;
/** PostgreSQL has noticed by then that the processes that were killed are gone, and need not go on for them. */
const NOTICE_MS = 300;
const LOOK_MS = 1_000;
const HOST = '127.0.0.1';

/** What a cluster to try things out differs in from what is right for one to rely on, where the settings say nothing else. */
const TRIAL_SETTINGS = {
  // As Kafka's brokers allow at least: nobody wants to wait longer for what he has just killed to be missed.
  KAFKA_SESSION_TIMEOUT_MS: '6000',
  KAFKA_HEARTBEAT_MS: '1000',
  // The table is to show how things are now.
  METRICS_SAMPLE_MS: '1000',
};

interface ClusterOptions {
  readonly instances: readonly Planned[];
  readonly kafka: boolean;
  readonly json?: boolean;
}

export function createCommand(): Command {
  const cluster = new Command('cluster')
    .option(
      '--instances <role=number,…>',
      `how many processes of each role, ${MAX_INSTANCES} in all at most; 1 of each that is not named`,
      planOf,
      smallestPlan(),
    )
    .option('--no-kafka', 'with the log in PostgreSQL as the bus')
    .addHelpText(
      'after',
      `
Each process is "caudal start" with CAUDAL_SERVICES and a port of its own; the first api is on PORT. Kafka and PostgreSQL are those of
KAFKA_BROKERS and DATABASE_URL, or are started here with their data in CAUDAL_DATA. A process that ends is started again. Logs are in
CAUDAL_DATA/cluster. Everything listens on 127.0.0.1 only, and ends with this command, however that ends.`,
    );
  // The default would be printed as what it was parsed to.
  cluster.options[0]!.defaultValueDescription = 'one of each';
  return withExample(
    withJson(cluster),
    'cluster',
    'cluster --instances payments=2,wallets=3',
    'cluster --no-kafka --instances metrics=0',
  ).action(run);
}

async function run({ instances: plan, kafka, json }: ClusterOptions): Promise<void> {
  const config = readConfig(process.env);
  await assertFree(config.port);
  const logs = join(config.dataDir, 'cluster');
  await mkdir(logs, { recursive: true });
  const log = createLog('info', logDestination(join(logs, 'cluster.log')));
  const ground = createGround(config, kafka, log, console.error);
  let instances: readonly Instance[] = [];
  const stopAsked = watchSignals(() => void endAtOnce(instances, ground));
  try {
    const open = await ground.open();
    instances = await createInstances(plan, config, open.settings, logs);
    const display = json ? jsonLines() : process.stdout.isTTY ? liveTable({ kafka: open.kafka, logs }) : plainLines();
    await runInstances(instances, createObserver(instances, open.sql), display, stopAsked, log);
  } finally {
    console.error('Stopping what the processes stood on…');
    await ground.stop();
  }
  console.error(`Stopped; the next start goes on with the same data. Logs: ${logs}`);
}

/** That it is not is better known before all else is started than after. @throws CliError */
function assertFree(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (cause) => {
      reject(new CliError(`port ${port} is not free (${cause.message}); set PORT to one that is`));
    });
    probe.listen(port, HOST, () => probe.close(() => resolve()));
  });
}

/** Starts the processes and shows them until a stop is asked for, or one cannot start; then stops them all. */
async function runInstances(
  instances: readonly Instance[],
  look: () => Promise<ClusterView>,
  display: Display,
  stopAsked: AbortSignal,
  log: Log,
): Promise<void> {
  if (stopAsked.aborted) return;
  const looking = createJob('look', LOOK_MS, async () => display.show(await look()), log);
  const asked = once(stopAsked, 'abort');
  looking.start();
  try {
    await Promise.race([Promise.all(instances.map((instance) => instance.start())), asked]);
    await asked;
  } finally {
    // Nothing new comes in, and then what is in hand is finished.
    for (const takesRequests of [true, false]) {
      const group = instances.filter(({ role }) => (role === 'api') === takesRequests);
      await Promise.all(group.map((instance) => instance.stop()));
    }
    await looking.stop();
    display.end();
  }
}

/** Aborted at the first signal. @param onSecond called at the second one */
function watchSignals(onSecond: () => void): AbortSignal {
  const stop = new AbortController();
  const onSignal = (): void => {
    if (stop.signal.aborted) onSecond();
    else stop.abort();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  return stop.signal;
}

/** Ends everything without waiting for what is in hand. What was acknowledged is in the log. */
async function endAtOnce(instances: readonly Instance[], ground: Ground): Promise<void> {
  const end = async (): Promise<void> => {
    await Promise.all(instances.map((instance) => instance.kill()));
    await sleep(NOTICE_MS);
    await ground.stopAtOnce();
  };
  await Promise.race([end(), sleep(FORCED_LIMIT_MS)]);
  process.exit(FORCED);
}

async function createInstances(
  plan: readonly Planned[],
  config: Config,
  ground: OpenGround['settings'],
  logs: string,
): Promise<readonly Instance[]> {
  const firstApi = plan.find(({ role }) => role === 'api');
  return Promise.all(
    plan.map(async (planned) => {
      const logFile = join(logs, `${planned.name}.log`);
      await rm(logFile, { force: true });
      const env = environmentOf(planned, planned === firstApi ? config.port : 0, config, ground);
      return createInstance({ ...planned, env, logFile, stopLimitMs: config.shutdownTimeoutMs });
    }),
  );
}

/**
 * What a process is told. DATABASE_URL is ours when it is set; else each process opens the PostgreSQL of the data folder itself:
 * the last one that uses it stops it, also when this process is killed and cannot.
 */
function environmentOf(
  { role }: Planned,
  port: number,
  config: Config,
  ground: OpenGround['settings'],
): Readonly<Record<string, string | undefined>> {
  return {
    ...TRIAL_SETTINGS,
    ...process.env,
    ...ground,
    CAUDAL_DATA: config.dataDir,
    CAUDAL_SERVICES: role,
    HOST,
    PORT: String(port),
    // Of each process its own, which is shown: standard error.
    CAUDAL_LOG_FILE: '',
  };
}
