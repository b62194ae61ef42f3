import { Consumer, ListOffsetTimestamps } from '@platformatic/kafka';
import { placesOf, type Topology } from '#kernel/bus/topology.ts';
import { eventsBetween } from '#kernel/event-store/postgres/events-between.ts';
import { readHead } from '#kernel/event-store/postgres/read.ts';
import type { Sql } from '#kernel/postgres/sql.ts';

/** One topic after everything has been carried to it. */
export interface TopicCounts {
  readonly topic: string;
  /** Events of the log that belong on it. */
  readonly events: number;
  /** What is on it. */
  readonly messages: number;
  /** Offsets of it that are noted in the store, and the different events that they are noted for. */
  readonly landings: number;
  readonly landed: number;
}

const STRETCH_EVENTS = 5000;

/** Compares the log, the topics and what is noted of them. The topics are those of the topology, each of which was empty. */
export async function countArrived(
  sql: Sql,
  topology: Topology,
  brokers: readonly string[],
): Promise<readonly TopicCounts[]> {
  const events = await countPlaces(sql, topology);
  const messages = await countMessages(brokers, [...events.keys()]);
  const noted = await sql.query<{ topic: string; landings: number; landed: number }>(
    `SELECT l.topic, count(*) AS landings, count(DISTINCT (l.chain, p.position)) AS landed FROM event_landings l
        CROSS JOIN LATERAL jsonb_array_elements(l.positions) AS p(position) WHERE p.position <> 'null' GROUP BY l.topic`,
  );
  return [...events].map(([topic, count]) => {
    const { landings = 0, landed = 0 } = noted.find((row) => row.topic === topic) ?? {};
    return { topic, events: count, messages: messages.get(topic)!, landings, landed };
  });
}

/** By topic, those without events too. */
async function countPlaces(sql: Sql, topology: Topology): Promise<ReadonlyMap<string, number>> {
  const counts = new Map(topology.topics.map(({ name }) => [name, 0]));
  for await (const { events } of eventsBetween(sql, {}, await readHead(sql), undefined, STRETCH_EVENTS)) {
    for (const event of events)
      for (const { topic } of placesOf(topology, event)) counts.set(topic, counts.get(topic)! + 1);
  }
  return counts;
}

async function countMessages(
  brokers: readonly string[],
  topics: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const consumer = new Consumer({ clientId: 'bench', groupId: 'bench', bootstrapBrokers: [...brokers] });
  try {
    const offsets = async (timestamp: bigint) => consumer.listOffsets({ topics: [...topics], timestamp });
    const [first, next] = [await offsets(ListOffsetTimestamps.EARLIEST), await offsets(ListOffsetTimestamps.LATEST)];
    const sum = (values: readonly bigint[] = []): number => values.reduce((total, value) => total + Number(value), 0);
    return new Map(topics.map((topic) => [topic, sum(next.get(topic)) - sum(first.get(topic))]));
  } finally {
    await consumer.close(true);
  }
}
