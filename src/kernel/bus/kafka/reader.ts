import { Consumer, FetchIsolationLevels } from '@platformatic/kafka';
import { type PartitionRef, partitionName } from '../group.ts';
import { clientOptions, type KafkaConnection, unavailable } from './client.ts';
import { messagesFrom } from './records.ts';

/** Reads partitions by hand, without a group: nobody's position moves. */
export type Reader = Consumer;

/** The first offset that a partition still has, and the one behind its last message. */
export interface Bounds {
  readonly start: number;
  readonly end: number;
}

const EARLIEST = -2n;
const LATEST = -1n;
const WAIT_MS = 1000;

/** Opens a reader for the work, and closes it after. @throws UnavailableError when the brokers are out of reach or refuse */
export async function withReader<T>(connection: KafkaConnection, work: (reader: Reader) => Promise<T>): Promise<T> {
  // The group is never joined.
  const reader = new Consumer({ ...clientOptions(connection), groupId: 'caudal-reader' });
  reader.on('error', () => undefined);
  try {
    return await work(reader);
  } catch (cause) {
    throw unavailable(cause, connection);
  } finally {
    await reader.close(true).catch(() => undefined);
  }
}

/** The bounds of all partitions of the topics, by `topic/partition`. */
export async function boundsOf(reader: Reader, topics: readonly string[]): Promise<ReadonlyMap<string, Bounds>> {
  const [starts, ends] = await Promise.all([
    reader.listOffsets({ topics: [...topics], timestamp: EARLIEST }),
    reader.listOffsets({ topics: [...topics], timestamp: LATEST }),
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

/**
 * The messages of a partition from an offset on, as many as one answer holds.
 * @param maxBytes of the answer; a larger message comes alone
 * @returns none when nothing new comes within a second; where to go on
 */
export async function fetchFrom(
  reader: Reader,
  from: PartitionRef & { readonly offset: number },
  maxBytes: number,
): Promise<ReturnType<typeof messagesFrom>> {
  reader.topics.track(from.topic);
  const metadata = await reader.metadata({ topics: [from.topic] });
  const { id: topicId, partitions } = metadata.topics.get(from.topic)!;
  const { leader, leaderEpoch } = partitions[from.partition]!;
  const { responses } = await reader.fetch({
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
  return messagesFrom(from, responses[0]?.partitions[0]?.records ?? []);
}
