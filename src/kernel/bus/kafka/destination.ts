import type { MessageRecord } from '@platformatic/kafka';
import { UnavailableError } from '../../core/errors.ts';
import type { RecordedEvent } from '../../core/event.ts';
import type { Arrival, Departure, Destination } from '../relay.ts';
import type { Topic } from '../topology.ts';
import type { KafkaConnection } from './client.ts';
import { toMessage } from './cloud-event.ts';
import { toRecord } from './produce.ts';
import { type Compression, createOrderedProducer } from './producer.ts';
import type { SentEvents } from './sent-events.ts';
import { createTopicWatch } from './topic-watch.ts';

export interface DestinationSettings {
  readonly compression: Compression;
  /** Names the store that the events come from. */
  readonly store: string;
  /** The CloudEvents source of an event type. */
  source(type: string): string;
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
  readonly sent: SentEvents;
}

/** Kafka, as the place where a relay brings events. */
export function createKafkaDestination(
  connection: KafkaConnection,
  { compression, store, source }: DestinationSettings,
  { makeTopics, sent }: Ports,
): Destination {
  const producer = createOrderedProducer(connection, compression);
  const watch = createTopicWatch(connection);
  let topics: readonly Topic[] = [];
  let topicsMade = false;
  /** By topic, as headers have it. */
  let tags: ReadonlyMap<string, string> = new Map();
  /** By `topic/partition`: where the next message lands at the earliest. */
  let ends: Map<string, number> | undefined;

  const encode = ({ event, place }: Departure): MessageRecord => {
    sent.note(event);
    return toRecord(toMessage(event, place, source(event.type), store, tags.get(place.topic)));
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
      for (const round of rounds(departures, encode))
        arrivals.push(...arrivalsOf(round, await producer.send(round.map(({ message }) => message))));
      for (const arrival of arrivals) checkPlace(arrival);
      return arrivals;
    },
    close: async () => {
      await Promise.all([producer.close(), watch.close()]);
    },
  };
}

interface Outgoing {
  readonly departure: Departure;
  readonly message: MessageRecord;
}

/** The events in as few rounds as have room for them; those of one partition stay in their order. */
function rounds(
  departures: readonly Departure[],
  encode: (departure: Departure) => MessageRecord,
): readonly (readonly Outgoing[])[] {
  const result: Outgoing[][] = [];
  const filled = new Map<string, { round: number; bytes: number }>();
  for (const departure of departures) {
    const message = encode(departure);
    const name = `${departure.place.topic}/${departure.place.partition}`;
    const at = filled.get(name) ?? { round: 0, bytes: 0 };
    const bytes = sizeOf(message);
    if (at.bytes > 0 && at.bytes + bytes > MAX_PARTITION_BYTES) Object.assign(at, { round: at.round + 1, bytes: 0 });
    at.bytes += bytes;
    filled.set(name, at);
    result[at.round] ??= [];
    result[at.round]!.push({ departure, message });
  }
  return result;
}

/** A little more than the bytes that it takes. */
export function sizeOf({ value }: MessageRecord): number {
  return MIN_MESSAGE_BYTES + value!.length;
}

function arrivalsOf(round: readonly Outgoing[], landed: ReadonlyMap<string, number>): readonly Arrival[] {
  const arrivals = new Map<string, Arrival & { readonly events: RecordedEvent[] }>();
  for (const { departure } of round) {
    const { event, place } = departure;
    const { topic, partition } = place;
    const name = `${topic}/${partition}`;
    const found = arrivals.get(name);
    if (found !== undefined) {
      found.events.push(event);
      continue;
    }
    const offset = landed.get(name);
    if (offset === undefined) throw new Error(`Kafka did not say where the events for ${name} landed`);
    arrivals.set(name, { topic, partition, offset, events: [event] });
  }
  return [...arrivals.values()];
}
