import { Argument, Command } from 'commander';
import { ensureTopics } from '#kernel/bus/kafka/topics.ts';
import { systemClock } from '#kernel/core/clock.ts';
import { createLog } from '#kernel/observability/log.ts';
import { connectionOf, topicSettingsOf } from '#src/composition/kafka.ts';
import { createMigration } from '#src/composition/migration.ts';
import { readConfig, type ServiceName } from '#src/config.ts';
import { overviewOf, type TopicEvents, type TopicOverview } from '#src/topologies/overview.ts';
import { TOPOLOGIES, topologyOf } from '#src/topologies.ts';
import { wrongUse } from '../failure.ts';
import { withExample, withJson } from '../options.ts';
import { printFields, printJson, printTable } from '../output.ts';
import { definedServices } from '../services.ts';
import { withStore } from '../store.ts';

export function createCommand(): Command {
  const names = TOPOLOGIES.map(({ name }) => name);
  const show = new Command('show')
    .description('topics, partitions, event types with their keys, and the consumer groups')
    .addArgument(new Argument('[name]', 'default: the one that CAUDAL_TOPOLOGY chooses').choices(names))
    .action(showTopology);
  withExample(withJson(show), 'topology show', 'topology show by-flow --json');
  const create = new Command('create')
    .description('makes the topics of a topology that Kafka does not have yet; nothing is written to them')
    .addArgument(new Argument('<name>').choices(names))
    .action(createTopics);
  withExample(create, 'topology create by-flow');
  const migrate = new Command('migrate')
    .description('moves a running platform to another topology, step by step; says how far it is when nothing is named')
    .addArgument(new Argument('[name]', 'write to both, and move the consumers; again: go on').choices(names))
    .option('--back', 'move the consumers back, and write to the topology before alone')
    .option('--retire', 'stop writing to the topology before: its topics can be deleted then')
    .action(migrateTopology);
  withExample(withJson(migrate), 'topology migrate by-flow', 'topology migrate --back', 'topology migrate --retire');
  return new Command('topology').addCommand(show).addCommand(create).addCommand(migrate);
}

async function showTopology(name: string | undefined, options: { json?: boolean }): Promise<void> {
  const config = readConfig(process.env);
  const topology = topologyOf({ topology: name ?? config.topology });
  const services = await definedServices(config, createLog('silent'));
  const topics = overviewOf(topology, [...services.values()]);
  if (options.json) return printJson({ name: topology.name, topics });
  printFields({
    topology: topology.name,
    'new databases': topology.name === topologyOf(config).name ? 'begin here' : undefined,
  });
  console.log();
  printTable(
    topics.flatMap(linesOf),
    [
      { title: 'TOPIC', value: (line) => line.topic, style: () => 'bold' },
      { title: 'PARTITIONS', value: (line) => line.partitions, align: 'right' },
      { title: 'EVENT TYPE', value: (line) => line.events?.type },
      { title: 'KEY', value: (line) => line.events && describeKey(line.events) },
      { title: 'CONSUMER GROUPS', value: (line) => line.events?.groups.join(', ') },
    ],
    'no topics',
  );
}

async function createTopics(name: string): Promise<void> {
  const config = readConfig(process.env);
  const connection = connectionOf(config);
  if (connection === undefined)
    throw wrongUse('there are no topics to make: KAFKA_BROKERS is not set, and the bus in PostgreSQL needs none');
  const { topics } = topologyOf({ topology: name });
  await ensureTopics(connection, topics, topicSettingsOf(config), createLog('warn'));
  console.log(`Kafka has the ${topics.length} topics of ${name}.`);
}

interface MigrateOptions {
  readonly back?: boolean;
  readonly retire?: boolean;
  readonly json?: boolean;
}

async function migrateTopology(name: string | undefined, { back, retire, json }: MigrateOptions): Promise<void> {
  if ([name, back, retire].filter((given) => given !== undefined).length > 1)
    throw wrongUse('one of a topology, --back and --retire');
  const status = await withStore(async ({ config, databases, log }) => {
    const [database, another] = databases.all;
    if (another !== undefined)
      throw wrongUse(
        'services with databases of their own (DATABASE_URL_…) cannot be moved to another topology while they run',
      );
    const connection = connectionOf(config);
    const services = await definedServices(config, log);
    const migration = createMigration({
      pool: database!.pool,
      clock: systemClock,
      leaseMs: config.leaseMs,
      kafka: connection,
      types: (consumer) => Object.keys(services.get(consumer as ServiceName)?.reactions ?? {}),
      makeTopics: async ({ topics }) => {
        if (connection !== undefined) await ensureTopics(connection, topics, topicSettingsOf(config), log);
      },
      onStep: (message) => console.error(message),
    });
    if (name !== undefined) await migration.forward(topologyOf({ topology: name }));
    if (back) await migration.back();
    if (retire) await migration.retire();
    return migration.status();
  });
  if (json) return printJson(status);
  const { current, target, consumers } = status;
  const there = consumers.filter(({ topology }) => topology === target).length;
  printFields({
    topology: current,
    'on its way to': target,
    'consumers there': target && `${there} of ${consumers.length}`,
  });
  console.log();
  printTable(
    consumers,
    [
      { title: 'CONSUMER', value: (seat) => seat.consumer, style: () => 'bold' },
      { title: 'TOPOLOGY', value: (seat) => seat.topology },
      { title: 'SINCE', value: (seat) => new Date(seat.moved_at).toISOString() },
    ],
    'no service has run yet',
  );
  if (target === undefined) return;
  if (there < consumers.length) console.log(`\nGo on: topology migrate ${target}. Undo: topology migrate --back.`);
  else console.log('\nUndo: topology migrate --back. When you are sure: topology migrate --retire.');
}

interface Line {
  readonly topic?: string;
  readonly partitions?: number;
  readonly events?: TopicEvents;
}

/** A line for each event type, the first with the topic's name. */
function linesOf({ topic, partitions, events: [first, ...others] }: TopicOverview): readonly Line[] {
  return [
    { topic, partitions, ...(first !== undefined && { events: first }) },
    ...others.map((events) => ({ events })),
  ];
}

function describeKey({ key, on, copy }: TopicEvents): string {
  const partitions = on === 'all' ? '' : `, ${on} partitions`;
  return `${key}${partitions}${copy ? ', a copy' : ''}`;
}
