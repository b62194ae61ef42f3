import { join } from 'node:path';
import { Argument, Command, InvalidArgumentError } from 'commander';
import { type BrokerState, kafkaStatus, startKafka, stopKafka } from '#kernel/bus/kafka/server/cluster.ts';
import { ensureKafka, KAFKA_VERSION, type KafkaLog } from '#kernel/bus/kafka/server/install.ts';
import { needsBootstrap, runTool, TOOL_NAMES, type ToolName } from '#kernel/bus/kafka/server/tool.ts';
import { ConfigError, readConfig } from '#src/config.ts';
import { CliError, foundSomethingWrong } from '../failure.ts';
import { wholeNumber, withExample, withJson } from '../options.ts';
import { printFields, printJson, printTable } from '../output.ts';

/** Three brokers take six ports. */
const LAST_FIRST_PORT = 65_530;
const HEAP = /^\d+[kmg]$/i;

interface StartOptions {
  readonly brokers?: 1 | 3;
  readonly port?: number;
  readonly heap?: string;
}

/** What becomes of it is on standard output; how, on standard error. */
const log: KafkaLog = { info: console.error, warn: console.error };

export function createCommand(): Command {
  const kafka = new Command('kafka').enablePositionalOptions().addHelpText(
    'after',
    `
It is Apache Kafka ${KAFKA_VERSION} itself, without ZooKeeper or a container. Java 17 or newer runs it, and Maven brings it at the first start,
44 MB into CAUDAL_CACHE. Its data and its log are in CAUDAL_DATA/kafka. It listens on 127.0.0.1 only and asks nobody for a password.`,
  );
  withExample(kafka, 'kafka start', 'kafka tool topics --list', 'kafka stop');
  for (const command of [startCommand(), stopCommand(), statusCommand(), toolCommand(), installCommand()]) {
    kafka.addCommand(command);
  }
  return kafka;
}

function startCommand(): Command {
  const start = new Command('start')
    .description('start it, and return when every broker is ready; it runs until "kafka stop"')
    .option(
      '--brokers <number>',
      '1, or 3 that keep three copies of everything; default: as its data are, else 1',
      oneOrThree,
    )
    .option(
      '--port <number>',
      'of the first broker; the others take every second one after it, controllers those between; default: as the last time, else from 9092 on what is free',
      wholeNumber(1, LAST_FIRST_PORT),
    )
    .option('--heap <size>', 'memory of each broker; default: CAUDAL_KAFKA_HEAP', heapSize)
    .addHelpText('after', '\nBrokers that ended are started again on their data; those that run are left alone.');
  return withExample(start, 'kafka start', 'kafka start --brokers 3 --heap 1g').action(runStart);
}

function stopCommand(): Command {
  const stop = new Command('stop').description('stop it in good order; its data stay');
  return withExample(stop, 'kafka stop').action(runStop);
}

function statusCommand(): Command {
  const status = new Command('status')
    .description('each broker: whether it runs, and where')
    .addHelpText('after', '\nExit code 0: every broker is up; 1: not so.');
  return withExample(withJson(status), 'kafka status').action(showStatus);
}

function toolCommand(): Command {
  const tool = new Command('tool')
    .description("run one of Kafka's own tools, on the running brokers unless --bootstrap-server names others")
    .addArgument(new Argument('<name>', 'which').choices(TOOL_NAMES))
    .argument('[arguments...]', 'given to the tool as they are; --help shows its own help')
    .passThroughOptions()
    .allowUnknownOption();
  return withExample(
    tool,
    'kafka tool topics --create --topic trial --partitions 3',
    'kafka tool console-producer --topic trial',
    'kafka tool console-consumer --topic trial --from-beginning',
  ).action(useTool);
}

function installCommand(): Command {
  const install = new Command('install').description('bring it into CAUDAL_CACHE now instead of at the first start');
  return withExample(install, 'kafka install').action(async () => {
    const { cacheDir } = readConfig(process.env);
    await ensureKafka(cacheDir, log);
    console.log(`Kafka ${KAFKA_VERSION} is in ${cacheDir}`);
  });
}

async function runStart({ brokers, port, heap }: StartOptions): Promise<void> {
  const { cacheDir, kafkaHeap } = readConfig(process.env);
  if (!HEAP.test(kafkaHeap)) throw new ConfigError(`CAUDAL_KAFKA_HEAP=${kafkaHeap}: must be a size as 512m or 2g`);
  const kafka = await startKafka({
    dataDir: dataDir(),
    cacheDir,
    log,
    lifetime: 'detached',
    heap: heap ?? kafkaHeap,
    ...(brokers !== undefined && { brokers }),
    ...(port !== undefined && { port }),
  });
  console.log(`${startMessage(kafka.started, kafka.brokers.length)}\n`);
  console.log(`KAFKA_BROKERS=${kafka.bootstrap.join(',')}\n`);
  printFields(Object.fromEntries(kafka.brokers.map(({ id, logFile }) => [`log of broker ${id}`, logFile])));
}

function startMessage(started: readonly number[], count: number): string {
  if (started.length === 0) return 'Kafka runs already.';
  if (started.length < count) return `Kafka runs; started again: ${started.map((id) => `broker ${id}`).join(', ')}.`;
  return `Kafka ${KAFKA_VERSION} runs. "bin/caudal kafka stop" stops it.`;
}

async function runStop(): Promise<void> {
  const stopped = await stopKafka(dataDir(), log);
  console.log(
    stopped.length === 0 ? 'Kafka does not run.' : 'Kafka stopped; the next start goes on with the same data.',
  );
}

async function showStatus({ json }: { json?: boolean }): Promise<void> {
  const brokers = (await kafkaStatus(dataDir())) ?? [];
  const running = brokers.length > 0 && brokers.every(({ up }) => up);
  if (!running) foundSomethingWrong();
  if (json) return printJson({ running, bootstrap: bootstrapOf(brokers), brokers });
  printTable(
    brokers,
    [
      { title: 'BROKER', value: (row) => row.id, align: 'right' },
      { title: 'STATE', value: (row) => (row.up ? 'up' : 'down'), style: (row) => (row.up ? 'green' : 'red') },
      { title: 'ADDRESS', value: (row) => `${row.host}:${row.port}` },
      { title: 'PROCESS', value: (row) => row.pid, align: 'right' },
      { title: 'LOG', value: (row) => row.logFile },
    ],
    `there is no Kafka in ${dataDir()}: start one with "bin/caudal kafka start"`,
  );
}

async function useTool(name: ToolName, args: readonly string[]): Promise<void> {
  const installation = await ensureKafka(readConfig(process.env).cacheDir, log);
  const where = needsBootstrap(args) ? ['--bootstrap-server', await runningBrokers()] : [];
  process.exitCode = await runTool(name, [...where, ...args], installation);
}

async function runningBrokers(): Promise<string> {
  const up = ((await kafkaStatus(dataDir())) ?? []).filter((broker) => broker.up);
  if (up.length > 0) return bootstrapOf(up).join(',');
  throw new CliError('Kafka does not run: start it with "bin/caudal kafka start", or give --bootstrap-server');
}

function bootstrapOf(brokers: readonly BrokerState[]): readonly string[] {
  return brokers.map(({ host, port }) => `${host}:${port}`);
}

function dataDir(): string {
  return join(readConfig(process.env).dataDir, 'kafka');
}

function oneOrThree(text: string): 1 | 3 {
  if (text === '1' || text === '3') return text === '1' ? 1 : 3;
  throw new InvalidArgumentError('It must be 1 or 3.');
}

function heapSize(text: string): string {
  if (HEAP.test(text)) return text;
  throw new InvalidArgumentError('It must be a size as 512m or 2g.');
}
