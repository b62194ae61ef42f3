import { Argument, Command } from 'commander';
import { ensureTopics } from '#kernel/bus/kafka/topics.ts';
import { systemClock } from '#kernel/core/clock.ts';
import { createLog } from '#kernel/observability/log.ts';
import { connectionOf, topicSettingsOf } from '#src/composition/kafka-settings.ts';
import { createMigration, type Migration } from '#src/composition/migration.ts';
import type { ComparisonSummary } from '#src/composition/migration-status.ts';
import { readConfig, type ServiceName } from '#src/config.ts';
import { overviewOf, type TopicEvents, type TopicOverview } from '#src/topologies/overview.ts';
import { TOPOLOGIES, topologyOf } from '#src/topologies.ts';
import { foundSomethingWrong, wrongUse } from '../failure.ts';
import { withExample, withJson } from '../options.ts';
import { printFields, printJson, printTable } from '../output.ts';
import { definedServices } from '../services.ts';
import { withStore } from '../store.ts';
import { printComparison, printStatus } from '../topology-status.ts';

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
    .option('--retire', 'compare once more, and stop writing to the topology before')
    .option(
      '--delete-topics',
      'delete from Kafka the topics of events that no topology in force has; also with --retire',
    )
    .action(migrateTopology);
  withExample(
    withJson(migrate),
    'topology migrate by-flow',
    'topology migrate --back',
    'topology migrate --retire --delete-topics',
  );
  const compare = new Command('compare')
    .description(
      'while both topologies are written: compares what Kafka has on the topics of the two; exit code 1 when they differ',
    )
    .option('--accept', 'the differences found last are known: compare what comes after them from now on')
    .action(compareTopologies);
  withExample(withJson(compare), 'topology compare', 'topology compare --json', 'topology compare --accept');
  const topology = new Command('topology');
  for (const command of [show, create, migrate, compare]) topology.addCommand(command);
  return topology;
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
  readonly deleteTopics?: boolean;
  readonly json?: boolean;
}

async function migrateTopology(name: string | undefined, options: MigrateOptions): Promise<void> {
  const { back, retire, deleteTopics, json } = options;
  if ([name, back, retire].filter((given) => given !== undefined).length > 1)
    throw wrongUse('one of a topology, --back and --retire');
  if (name !== undefined && deleteTopics)
    throw wrongUse('--delete-topics is for when a topology was left: alone, or with --retire or --back');
  const status = await withMigration(async (migration) => {
    if (name !== undefined) await migration.forward(topologyOf({ topology: name }));
    if (back) await migration.back();
    if (retire) await migration.retire();
    if (deleteTopics) await migration.deleteTopics();
    return migration.status();
  });
  if (json) printJson(status);
  else printStatus(status);
}

async function compareTopologies({ accept, json }: { accept?: boolean; json?: boolean }): Promise<void> {
  const found = await withMigration((migration) => (accept ? acceptDifferences(migration) : migration.compare()));
  if (json) printJson(found ?? null);
  else if (found === undefined)
    console.log('There is nothing to compare: the log itself is the bus, and both topologies read it.');
  else printComparison(found);
  if (found !== undefined && found.differences > 0 && !found.accepted) foundSomethingWrong();
}

async function acceptDifferences(migration: Migration): Promise<ComparisonSummary | undefined> {
  await migration.accept();
  return (await migration.status()).compared;
}

function withMigration<T>(work: (migration: Migration) => Promise<T>): Promise<T> {
  return withStore(async ({ config, databases, log }) => {
    const connection = connectionOf(config);
    const services = await definedServices(config, log);
    const migration = createMigration({
      pools: databases.all.map(({ pool }) => pool),
      clock: systemClock,
      leaseMs: config.leaseMs,
      kafka: connection,
      types: (consumer) => Object.keys(services.get(consumer as ServiceName)?.reactions ?? {}),
      makeTopics: async ({ topics }) => {
        if (connection !== undefined) await ensureTopics(connection, topics, topicSettingsOf(config), log);
      },
      onStep: (message) => console.error(message),
    });
    return work(migration);
  });
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
