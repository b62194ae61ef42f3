import type { MessageRecord } from '@platformatic/kafka';
import { UnavailableError } from '../../core/errors.ts';
import type { RecordedEvent } from '../../core/event.ts';
import { type PartitionRef, partitionName } from '../group.ts';
import type { Arrival, Departure, Destination } from '../relay.ts';
import type { Topic } from '../topology.ts';
import type { KafkaConnection } from './client.ts';
import { createMessageWriter, type EventSource } from './cloud-event.ts';
import { toRecord } from './produce.ts';
import { type Compression, createOrderedProducer } from './producer.ts';
import type { SentBatches } from './sent-batches.ts';
import { createTopicWatch } from './topic-watch.ts';

export interface DestinationSettings extends EventSource {
  readonly compression: Compression;
}

/**
 * A broker takes so much of one partition at once, and the rest of the events behind it: a batch that is larger than the topic
 * allows (`max.message.bytes`, see topics.ts) would be refused again and again.
 */
export const MAX_PARTITION_BYTES = 1_000_000;

/** No message is counted for less: see `sizeOf`. */
export const MIN_MESSAGE_BYTES = 64;

interface Ports {
  /** Creates those of the topics that are missing. */
  makeTopics(topics: readonly Topic[]): Promise<void>;
  /** What this process sends is noted there. */
  readonly sent: SentBatches;
}

/** Kafka, as the place where a relay brings events. */
export function createKafkaDestination(
  connection: KafkaConnection,
  { compression, ...origin }: DestinationSettings,
  { makeTopics, sent }: Ports,
): Destination {
  const producer = createOrderedProducer(connection, compression);
  const watch = createTopicWatch(connection);
  const write = createMessageWriter(origin);
  let topics: readonly Topic[] = [];
  let topicsMade = false;
  /** By topic, as headers have it. */
  let tags: ReadonlyMap<string, string> = new Map();
  /** By `topic/partition`: where the next message lands at the earliest. */
  let ends: Map<string, number> | undefined;

  const encode = ({ event, place }: Departure): MessageRecord => toRecord(write(event, place, tags.get(place.topic)));

  const sendRound = async ({ messages, batches }: Round): Promise<readonly Arrival[]> => {
    const landed = await producer.send(messages, (ref, id) => {
      const events = batches.get(partitionName(ref))?.events;
      if (events === undefined) return;
      const tag = tags.get(ref.topic);
      sent.note(ref, id, { events, store: origin.store, topicTag: tag === undefined ? undefined : Number(tag) });
    });
    return [...batches].map(([name, { topic, partition, events }]) => {
      const offset = landed.get(name);
      if (offset === undefined) throw new Error(`Kafka did not say where the events for ${name} landed`);
      return { topic, partition, offset, events };
    });
  };

  const look = async (): Promise<ReadonlyMap<string, number>> => {
    if (!topicsMade) await makeTopics(topics);
    topicsMade = true;
    // In this order: what ended there was the topic that has the tag.
    ends ??= await watch.ends(topics);
    return watch.tags(topics);
  };

  /** Offsets begin again in a topic that was made anew, and that is not always noticed otherwise before it is written to. */
  const checkPlace = ({ topic, partition, offset, events }: Arrival): void => {
    const name = `${topic}/${partition}`;
    const end = ends?.get(name) ?? 0;
    if (offset < end)
      throw new UnavailableError(
        `Kafka gave offset ${offset} in ${name} a second time: the topic was made anew, or has lost messages (see unclean.leader.election.enable)`,
      );
    ends?.set(name, offset + events.length);
  };

  return {
    prepare: (next) => {
      topics = next;
      topicsMade = false;
      ends = undefined;
    },
    look: async () => {
      try {
        const found = await look();
        tags = new Map([...found].map(([topic, tag]) => [topic, String(tag)]));
        return found;
      } catch (cause) {
        // One of them may have been deleted.
        topicsMade = false;
        throw cause;
      }
    },
    send: async (departures) => {
      const arrivals: Arrival[] = [];
      for (const round of rounds(departures, encode)) arrivals.push(...(await sendRound(round)));
      for (const arrival of arrivals) checkPlace(arrival);
      return arrivals;
    },
    close: async () => {
      await Promise.all([producer.close(), watch.close()]);
    },
  };
}

/** What is sent at once. */
interface Round {
  readonly messages: MessageRecord[];
  /** By `topic/partition`: the events whose messages they are, in the same order. */
  readonly batches: Map<string, Batch>;
}

interface Batch extends PartitionRef {
  readonly events: RecordedEvent[];
  readonly round: number;
  bytes: number;
}

/** The events in as few rounds as have room for them; those of one partition stay in their order. */
function rounds(departures: readonly Departure[], encode: (departure: Departure) => MessageRecord): readonly Round[] {
  const result: Round[] = [];
  const last = new Map<string, Batch>();
  for (const departure of departures) {
    const { topic, partition } = departure.place;
    const message = encode(departure);
    const bytes = sizeOf(message);
    const name = partitionName(departure.place);
    let batch = last.get(name);
    if (batch === undefined || batch.bytes + bytes > MAX_PARTITION_BYTES) {
      batch = { topic, partition, events: [], round: batch === undefined ? 0 : batch.round + 1, bytes: 0 };
      last.set(name, batch);
      result[batch.round] ??= { messages: [], batches: new Map() };
      result[batch.round]!.batches.set(name, batch);
    }
    batch.bytes += bytes;
    batch.events.push(departure.event);
    result[batch.round]!.messages.push(message);
  }
  return result;
}

/** A little more than the bytes that it takes. */
export function sizeOf({ value }: MessageRecord): number {
  return MIN_MESSAGE_BYTES + value!.length;
}
