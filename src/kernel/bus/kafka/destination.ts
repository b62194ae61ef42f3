import type { RecordedEvent } from '../../core/event.ts';
import type { Arrival, Departure, Destination } from '../relay.ts';
import type { Topic } from '../topology.ts';
import type { KafkaConnection } from './client.ts';
import { type OutgoingMessage, toMessage } from './cloud-event.ts';
import { type Compression, createOrderedProducer } from './producer.ts';

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

interface Ports {
  /** Creates those of the topics that are missing. */
  makeTopics(topics: readonly Topic[]): Promise<void>;
}

/** Kafka, as the place where a relay brings events. */
export function createKafkaDestination(
  connection: KafkaConnection,
  { compression, store, source }: DestinationSettings,
  { makeTopics }: Ports,
): Destination {
  const producer = createOrderedProducer(connection, compression);
  let topics: readonly Topic[] = [];
  let topicsMade = false;
  return {
    prepare: (next) => {
      topics = next;
      topicsMade = false;
    },
    send: async (departures) => {
      if (!topicsMade) await makeTopics(topics);
      topicsMade = true;
      try {
        const arrivals: Arrival[] = [];
        for (const round of rounds(departures, ({ event, place }) =>
          toMessage(event, place, source(event.type), store),
        ))
          arrivals.push(...arrivalsOf(round, await producer.send(round.map(({ message }) => message))));
        return arrivals;
      } catch (cause) {
        // One of them may have been deleted.
        topicsMade = false;
        throw cause;
      }
    },
    close: () => producer.close(),
  };
}

interface Outgoing {
  readonly departure: Departure;
  readonly message: OutgoingMessage;
}

/** The events in as few rounds as have room for them; those of one partition stay in their order. */
function rounds(
  departures: readonly Departure[],
  encode: (departure: Departure) => OutgoingMessage,
): readonly (readonly Outgoing[])[] {
  const result: Outgoing[][] = [];
  const filled = new Map<string, { round: number; bytes: number }>();
  for (const departure of departures) {
    const message = encode(departure);
    const name = `${message.topic}/${message.partition}`;
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
export function sizeOf({ key, value, headers }: OutgoingMessage): number {
  let bytes = key.length + value.length + 64;
  for (const [name, text] of headers) bytes += name.length + text.length + 4;
  return bytes;
}

function arrivalsOf(round: readonly Outgoing[], landed: ReadonlyMap<string, number>): readonly Arrival[] {
  const arrivals = new Map<string, Arrival & { readonly events: RecordedEvent[] }>();
  for (const { departure, message } of round) {
    const { topic, partition } = message;
    const name = `${topic}/${partition}`;
    const found = arrivals.get(name);
    if (found !== undefined) {
      found.events.push(departure.event);
      continue;
    }
    const offset = landed.get(name);
    if (offset === undefined) throw new Error(`Kafka did not say where the events for ${name} landed`);
    arrivals.set(name, { topic, partition, offset, events: [departure.event] });
  }
  return [...arrivals.values()];
}
