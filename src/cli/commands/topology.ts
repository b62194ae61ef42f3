import { Argument, Command } from 'commander';
import { createLog } from '#kernel/observability/log.ts';
import { readConfig } from '#src/config.ts';
import { overviewOf, type TopicEvents, type TopicOverview } from '#src/topologies/overview.ts';
import { TOPOLOGIES, topologyOf } from '#src/topologies.ts';
import { withExample, withJson } from '../options.ts';
import { printFields, printJson, printTable } from '../output.ts';
import { definedServices } from '../services.ts';

export function createCommand(): Command {
  const names = TOPOLOGIES.map(({ name }) => name);
  const show = new Command('show')
    .description('topics, partitions, event types with their keys, and the consumer groups')
    .addArgument(new Argument('[name]', 'default: the one that CAUDAL_TOPOLOGY chooses').choices(names))
    .action(showTopology);
  withExample(withJson(show), 'topology show', 'topology show by-flow --json');
  return new Command('topology').addCommand(show);
}

async function showTopology(name: string | undefined, options: { json?: boolean }): Promise<void> {
  const config = readConfig(process.env);
  const topology = topologyOf({ topology: name ?? config.topology });
  const services = await definedServices(config, createLog('silent'));
  const topics = overviewOf(topology, [...services.values()]);
  if (options.json) return printJson({ name: topology.name, topics });
  printFields({ topology: topology.name, 'in force': topology.name === config.topology ? 'yes' : 'no' });
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
