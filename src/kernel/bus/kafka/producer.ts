import type { MessageRecord } from '@platformatic/kafka';
import { createRenewable, type KafkaConnection, unavailable } from './client.ts';
import { type OnBatch, RecordProducer } from './produce.ts';

export type Compression = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';

/** Where the first message of each partition landed; those after it follow one by one. By `topic/partition`. */
export type Landed = ReadonlyMap<string, number>;

/** Writes messages: all are acknowledged by all copies in sync, in order, each once as far as this producer goes. */
export interface OrderedProducer {
  /**
   * Writes messages that `toRecord` has made; those of one partition stand in the order given, one after another. Only one call at a time: what
   * is sent after something that failed would stand before it when that is sent again.
   * @throws UnavailableError it is not known which of the messages were written
   */
  send(messages: readonly MessageRecord[], onBatch?: OnBatch): Promise<Landed>;
  close(): Promise<void>;
}

export function createOrderedProducer(connection: KafkaConnection, compression: Compression): OrderedProducer {
  // One that has failed may still be about to write: its successor has an id, and so an order, of its own.
  const producer = createRenewable(
    connection,
    (options) => new RecordProducer({ ...options, retries: 2, acks: -1, idempotent: true, compression }),
    (ended) => ended.close(true),
  );

  return {
    send: async (messages, onBatch) => {
      const current = producer.get();
      current.onBatch = onBatch;
      try {
        const { offsets = [] } = await current.send({ messages: [...messages] });
        return new Map(offsets.map(({ topic, partition, offset }) => [`${topic}/${partition}`, Number(offset)]));
      } catch (cause) {
        await producer.drop();
        throw unavailable(cause, connection);
      }
    },
    close: () => producer.close(),
  };
}
