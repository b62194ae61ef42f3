import { type Consumer, FetchIsolationLevels } from '@platformatic/kafka';
import { type PartitionRef, partitionName } from '../group.ts';
import { type KafkaConnection, openClient, unavailable } from './client.ts';
import type { IncomingMessage } from './cloud-event.ts';
import { batchesOf, RecordConsumer } from './fetch.ts';
import { messagesFrom } from './records.ts';

/** Reads partitions by hand, without a group: nobody's position moves. Its methods throw UnavailableError when the brokers do not answer. */
export interface Reader {
  /** The bounds of all partitions of the topics, by `topic/partition`. */
  bounds(topics: readonly string[]): Promise<ReadonlyMap<string, Bounds>>;
  /**
   * The messages of a partition from an offset on, as many as one answer holds.
   * @param maxBytes of the answer; a larger message comes alone
   * @returns none when nothing new comes within a second; where to go on
   */
  read(
    from: PartitionRef & { readonly offset: number },
    maxBytes: number,
  ): Promise<{ readonly messages: readonly IncomingMessage[]; readonly nextOffset: number }>;
}

/** The first offset that a partition still has, and the one behind its last message. */
export interface Bounds {
  readonly start: number;
  readonly end: number;
}

const EARLIEST = -2n;
const LATEST = -1n;
const WAIT_MS = 1000;

/** Opens a reader for the work, and closes it after. */
export async function withReader<T>(connection: KafkaConnection, work: (reader: Reader) => Promise<T>): Promise<T> {
  // The group is never joined.
  const client = openClient(connection, (options) => new RecordConsumer({ ...options, groupId: 'caudal-reader' }));
  client.on('error', () => undefined);
  const told = (cause: unknown): never => {
    throw unavailable(cause, connection);
  };
  try {
    return await work({
      bounds: (topics) => boundsOf(client, topics).catch(told),
      read: (from, maxBytes) => fetchFrom(client, from, maxBytes).catch(told),
    });
  } finally {
    await client.close(true).catch(() => undefined);
  }
}

async function boundsOf(client: Consumer, topics: readonly string[]): Promise<ReadonlyMap<string, Bounds>> {
  const [starts, ends] = await Promise.all([
    client.listOffsets({ topics: [...topics], timestamp: EARLIEST }),
    client.listOffsets({ topics: [...topics], timestamp: LATEST }),
  ]);
  return new Map(
    topics.flatMap((topic) =>
      starts
        .get(topic)!
        .map((start, partition) => [
          partitionName({ topic, partition }),
          { start: Number(start), end: Number(ends.get(topic)![partition]) },
        ]),
    ),
  );
}

async function fetchFrom(client: Consumer, from: PartitionRef & { readonly offset: number }, maxBytes: number) {
  client.topics.track(from.topic);
  const metadata = await client.metadata({ topics: [from.topic] });
  const { id: topicId, partitions } = metadata.topics.get(from.topic)!;
  const { leader, leaderEpoch } = partitions[from.partition]!;
  const { responses } = await client.fetch({
    node: leader,
    topics: [
      {
        topicId,
        partitions: [
          {
            partition: from.partition,
            currentLeaderEpoch: leaderEpoch,
            fetchOffset: BigInt(from.offset),
            lastFetchedEpoch: -1,
            partitionMaxBytes: maxBytes,
          },
        ],
      },
    ],
    maxWaitTime: WAIT_MS,
    minBytes: 1,
    maxBytes,
    isolationLevel: FetchIsolationLevels.READ_COMMITTED,
  });
  const fetched = responses[0]?.partitions[0];
  return messagesFrom(from, fetched === undefined ? [] : batchesOf(fetched));
}
