import { Consumer, FetchIsolationLevels } from '@platformatic/kafka';
import { DataError } from '../../core/errors.ts';
import type { DeadLetterMessage, DeadLetterPlace, DeadLetterTopics, FoundLetter } from '../dead-letters.ts';
import { deadLetterPlace, type Topology } from '../topology.ts';
import { clientOptions, type KafkaConnection, unavailable } from './client.ts';
import type { IncomingMessage, OutgoingMessage } from './cloud-event.ts';
import { fromDeadLetterMessage, type LetterSource, toDeadLetterMessage } from './dead-letter-message.ts';
import { MAX_PARTITION_BYTES, sizeOf } from './destination.ts';
import { type Compression, createOrderedProducer } from './producer.ts';
import { messagesFrom } from './records.ts';

export interface DeadLetterTopicSettings extends LetterSource {
  readonly compression: Compression;
  /** Bytes that are read at once. A larger message comes alone. */
  readonly fetchBytes: number;
}

interface Ports {
  readonly topology: Topology;
  /** Creates the topics that are missing. */
  makeTopics(): Promise<void>;
}

const EARLIEST = -2n;
const LATEST = -1n;
const WAIT_MS = 1000;

/** The topics of dead letters on Kafka. */
export function createKafkaDeadLetters(
  connection: KafkaConnection,
  settings: DeadLetterTopicSettings,
  { topology, makeTopics }: Ports,
): DeadLetterTopics {
  const producer = createOrderedProducer(connection, settings.compression);
  let topicsMade = false;

  const encode = (letter: DeadLetterMessage): OutgoingMessage =>
    toDeadLetterMessage(letter, deadLetterPlace(topology, letter.topic, letter.key), settings);

  return {
    send: async (letters) => {
      if (!topicsMade) await makeTopics();
      topicsMade = true;
      const messages = together(letters, encode);
      try {
        return placesOf(messages, await producer.send(messages));
      } catch (cause) {
        // One of them may have been deleted.
        topicsMade = false;
        throw cause;
      }
    },
    bounds: (topic) =>
      withReader(connection, async (reader) => {
        const [starts, ends] = await Promise.all([
          reader.listOffsets({ topics: [topic], timestamp: EARLIEST }),
          reader.listOffsets({ topics: [topic], timestamp: LATEST }),
        ]);
        return starts.get(topic)!.map((start, partition) => ({
          partition,
          start: Number(start),
          end: Number(ends.get(topic)![partition]),
        }));
      }),
    read: (from) =>
      withReader(connection, async (reader) => {
        const { messages, nextOffset } = await fetchFrom(reader, from, settings.fetchBytes);
        return { found: messages.map(found), next: nextOffset };
      }),
    close: () => producer.close(),
  };
}

/** The first letters, as many as a broker takes at once. */
function together(
  letters: readonly DeadLetterMessage[],
  encode: (letter: DeadLetterMessage) => OutgoingMessage,
): readonly OutgoingMessage[] {
  const messages: OutgoingMessage[] = [];
  let bytes = 0;
  for (const letter of letters) {
    const message = encode(letter);
    bytes += sizeOf(message);
    if (messages.length > 0 && bytes > MAX_PARTITION_BYTES) break;
    messages.push(message);
  }
  return messages;
}

/** @param landed where the first of each partition is */
function placesOf(
  messages: readonly OutgoingMessage[],
  landed: ReadonlyMap<string, number>,
): readonly DeadLetterPlace[] {
  const next = new Map(landed);
  return messages.map(({ topic, partition }) => {
    const name = `${topic}/${partition}`;
    const offset = next.get(name);
    if (offset === undefined) throw new Error(`Kafka did not say where the dead letters for ${name} landed`);
    next.set(name, offset + 1);
    return { topic, partition, offset };
  });
}

/** @throws UnavailableError when the brokers are out of reach or refuse */
async function withReader<T>(connection: KafkaConnection, work: (reader: Consumer) => Promise<T>): Promise<T> {
  // The group is never joined: operators read what they ask for, and nobody's position moves.
  const reader = new Consumer({ ...clientOptions(connection), groupId: 'caudal-dead-letters' });
  reader.on('error', () => undefined);
  try {
    return await work(reader);
  } catch (cause) {
    throw unavailable(cause, connection);
  } finally {
    await reader.close(true).catch(() => undefined);
  }
}

async function fetchFrom(reader: Consumer, from: DeadLetterPlace, maxBytes: number) {
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

function found(message: IncomingMessage): FoundLetter {
  const { offset } = message;
  try {
    return { offset, ...fromDeadLetterMessage(message) };
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    return { offset, problem: cause.message };
  }
}
