import type { Destination } from '../relay.ts';
import type { KafkaConnection } from './client.ts';
import { toMessage } from './cloud-event.ts';
import { type Compression, createOrderedProducer } from './producer.ts';

export interface DestinationSettings {
  readonly compression: Compression;
  /** Names the store that the events come from. */
  readonly store: string;
  /** The CloudEvents source of an event type. */
  source(type: string): string;
}

interface Ports {
  /** Creates the topics that are missing. */
  makeTopics(): Promise<void>;
}

/** Kafka, as the place where a relay brings events. */
export function createKafkaDestination(
  connection: KafkaConnection,
  { compression, store, source }: DestinationSettings,
  { makeTopics }: Ports,
): Destination {
  const producer = createOrderedProducer(connection, compression);
  let topicsMade = false;
  return {
    send: async (departures) => {
      if (!topicsMade) await makeTopics();
      topicsMade = true;
      try {
        return await producer.send(
          departures.map(({ event, place }) => toMessage(event, place, source(event.type), store)),
        );
      } catch (cause) {
        // One of them may have been deleted.
        topicsMade = false;
        throw cause;
      }
    },
    close: () => producer.close(),
  };
}
