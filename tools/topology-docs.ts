import { overviewOf, type TopicEvents } from '#src/topologies/overview.ts';
import { TOPOLOGIES } from '#src/topologies.ts';

export const TOPOLOGY_INTRO =
  'Where events stand on the bus. `CAUDAL_TOPOLOGY` chooses the table that a new database begins with; `bin/caudal topology ' +
  'migrate` moves one that runs to another, and `bin/caudal topology show` adds who consumes. ' +
  'A type with two lines goes the way of the payment: by wallet, or by card. [All events](README.md).';

/** A section for each topology: its event types with topic and key, then all of its topics. */
export function renderTopologies(): readonly string[] {
  return TOPOLOGIES.map((topology) => {
    const topics = overviewOf(topology, []);
    const rows = [...topology.routes.keys()].flatMap((type) =>
      topics.flatMap(({ topic, events }) => events.filter((found) => found.type === type).map((e) => row(topic, e))),
    );
    const sizes = [...Map.groupBy(topics, ({ partitions }) => partitions)].map(
      ([size, those]) => `${size} partitions: ${those.map(({ topic }) => `\`${topic}\``).join(', ')}.`,
    );
    return [
      `## ${topology.name}`,
      ['| event type | topic | key |', '|---|---|---|', ...rows].join('\n'),
      ...sizes,
    ].join('\n\n');
  });
}

function row(topic: string, { type, key, on, copy }: TopicEvents): string {
  const partitions = on === 'all' ? '' : `, ${on} partitions`;
  return `| \`${type}\` | \`${topic}\`${copy ? ' (a copy)' : ''}${partitions} | ${key} |`;
}
