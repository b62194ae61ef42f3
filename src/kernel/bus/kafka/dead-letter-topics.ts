import type { MessageRecord } from '@platformatic/kafka';
import { DataError } from '../../core/errors.ts';
import type { DeadLetterMessage, DeadLetterPlace, DeadLetterTopics, FoundLetter } from '../dead-letters.ts';
import { deadLetterPlace, type Topology } from '../topology.ts';
import type { KafkaConnection } from './client.ts';
import type { EventSource, IncomingMessage } from './cloud-event.ts';
import { fromDeadLetterMessage, toDeadLetterMessage } from './dead-letter-message.ts';
import { MAX_PARTITION_BYTES, sizeOf } from './destination.ts';
import { toRecord } from './produce.ts';
import { type Compression, createOrderedProducer } from './producer.ts';
import { withReader } from './reader.ts';

/** The store is that of the letters' rows. */
export interface DeadLetterTopicSettings extends EventSource {
  readonly compression: Compression;
  /** Bytes that are read at once. A larger message comes alone. */
  readonly fetchBytes: number;
}

interface Ports {
  readonly topology: Topology;
  /** Creates the topics that are missing. */
  makeTopics(): Promise<void>;
}

/** The topics of dead letters on Kafka. */
export function createKafkaDeadLetters(
  connection: KafkaConnection,
  settings: DeadLetterTopicSettings,
  { topology, makeTopics }: Ports,
): DeadLetterTopics {
  const producer = createOrderedProducer(connection, settings.compression);
  let topicsMade = false;

  const encode = (letter: DeadLetterMessage): MessageRecord =>
    toRecord(toDeadLetterMessage(letter, deadLetterPlace(topology, letter.topic, letter.key), settings));

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
      withReader(connection, async (reader) =>
        [...(await reader.bounds([topic])).values()].map((bounds, partition) => ({ partition, ...bounds })),
      ),
    read: (from) =>
      withReader(connection, async (reader) => {
        const { messages, nextOffset } = await reader.read(from, settings.fetchBytes);
        return { found: messages.map(found), next: nextOffset };
      }),
    close: () => producer.close(),
  };
}

/** The first letters, as many as a broker takes at once. */
function together(
  letters: readonly DeadLetterMessage[],
  encode: (letter: DeadLetterMessage) => MessageRecord,
): readonly MessageRecord[] {
  const messages: MessageRecord[] = [];
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
function placesOf(messages: readonly MessageRecord[], landed: ReadonlyMap<string, number>): readonly DeadLetterPlace[] {
  const next = new Map(landed);
  return messages.map(({ topic, partition = 0 }) => {
    const name = `${topic}/${partition}`;
    const offset = next.get(name);
    if (offset === undefined) throw new Error(`Kafka did not say where the dead letters for ${name} landed`);
    next.set(name, offset + 1);
    return { topic, partition, offset };
  });
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
