import { Admin } from '@platformatic/kafka';
import type { Topic } from '../topology.ts';
import { createRenewable, type KafkaConnection, unavailable } from './client.ts';
import { topicTag } from './standing.ts';

/** Looks at topics again and again. All throw UnavailableError when the brokers are out of reach, or do not know a topic. */
export interface TopicWatch {
  /** Which making of each topic is there now, see `standing.ts`. */
  tags(topics: readonly Topic[]): Promise<ReadonlyMap<string, number>>;
  /** By `topic/partition`: the offset behind its last message. */
  ends(topics: readonly Topic[]): Promise<Map<string, number>>;
  close(): Promise<void>;
}

const LATEST = -1n;

export function createTopicWatch(connection: KafkaConnection): TopicWatch {
  // Partitions of a topic that was just made have their leader a moment later.
  const admin = createRenewable(
    connection,
    (options) => new Admin({ ...options, retries: 3 }),
    (ended) => ended.close(),
  );

  /** One that has failed is not asked again. */
  const ask = async <T>(question: (asked: Admin) => Promise<T>): Promise<T> => {
    const current = admin.get();
    try {
      return await question(current);
    } catch (cause) {
      await admin.drop();
      throw unavailable(cause, connection);
    }
  };

  return {
    tags: (topics) =>
      ask(async (asked) => {
        const { topics: found } = await asked.metadata({ topics: topics.map(({ name }) => name), forceUpdate: true });
        return new Map(topics.map(({ name }) => [name, topicTag(found.get(name)!.id)]));
      }),
    ends: (topics) =>
      ask(async (asked) => {
        const found = await asked.listOffsets({
          topics: topics.map(({ name, partitions }) => ({
            name,
            partitions: Array.from({ length: partitions }, (_, partitionIndex) => ({
              partitionIndex,
              timestamp: LATEST,
            })),
          })),
        });
        return new Map(
          found.flatMap(({ name, partitions }) =>
            partitions.map(({ partitionIndex, offset }) => [`${name}/${partitionIndex}`, Number(offset)]),
          ),
        );
      }),
    close: () => admin.close(),
  };
}
