import type { KafkaConnection } from '#kernel/bus/kafka/client.ts';
import { createKafkaConsumer } from '#kernel/bus/kafka/consumer.ts';
import { createKafkaDeadLetters } from '#kernel/bus/kafka/dead-letter-topics.ts';
import { createKafkaDestination } from '#kernel/bus/kafka/destination.ts';
import { createSentBatches } from '#kernel/bus/kafka/sent-batches.ts';
import { createTopicRegister } from '#kernel/bus/kafka/topic-register.ts';
import { ensureTopics } from '#kernel/bus/kafka/topics.ts';
import { createDeadLetterOutbox } from '#kernel/bus/postgres/dead-letter-outbox.ts';
import { readTags } from '#kernel/bus/postgres/topics.ts';
import { eventTopics, type Topic } from '#kernel/bus/topology.ts';
import type { Scheduler } from '#kernel/core/clock.ts';
import type { Log } from '#kernel/observability/log.ts';
import type { Config } from '#src/config.ts';
import type { Bus, StoreSide } from './bus.ts';
import { compressionOf, topicSettingsOf } from './kafka-settings.ts';

/**
 * Kafka as the bus.
 * @throws ConfigError naming the setting that is wrong
 */
export function kafkaBus(
  config: Config,
  connection: KafkaConnection,
  store: StoreSide,
  clock: Scheduler,
  log: Log,
): Bus {
  const compression = compressionOf(config);
  const topicSettings = topicSettingsOf(config);
  const sent = createSentBatches(config.kafkaSentEvents);
  const making = new Map<string, Promise<void>>();
  /** All that ask for the same at the same time wait for the same. */
  const makeTopics = (topics: readonly Topic[]): Promise<void> => {
    const names = topics.map(({ name }) => name).join();
    const made =
      making.get(names) ??
      ensureTopics(connection, topics, topicSettings, log).finally(() => {
        making.delete(names);
      });
    making.set(names, made);
    return made;
  };
  return {
    destination: () =>
      createKafkaDestination(connection, { compression, store: store.id, source: store.source }, { makeTopics, sent }),
    register: createTopicRegister(store.sql),
    deadLetters: (topology) => ({
      topics: createKafkaDeadLetters(
        connection,
        { compression, store: store.id, source: store.source, fetchBytes: config.kafkaPartitionBytes },
        // The others are made by who writes events to them: they may have been left, and deleted.
        {
          topology,
          makeTopics: () => makeTopics(topology.topics.filter(({ name }) => !eventTopics(topology).has(name))),
        },
      ),
      outbox: createDeadLetterOutbox(
        store.sql,
        topology.topics.map(({ name }) => name),
      ),
    }),
    consumer: ({ name, types }, ports) =>
      createKafkaConsumer(
        {
          name,
          types,
          member: config.instance,
          maxPoll: config.kafkaMaxPoll,
          maxInbox: config.maxInbox,
          leaseMs: config.leaseMs,
          sessionTimeoutMs: config.kafkaSessionTimeoutMs,
          kafkaHeartbeatMs: config.kafkaHeartbeatMs,
          commitMs: config.kafkaCommitMs,
          fetchWaitMs: config.kafkaFetchWaitMs,
          fetchBytes: config.kafkaFetchBytes,
          partitionBytes: config.kafkaPartitionBytes,
        },
        {
          ...ports,
          connection,
          clock,
          log,
          sent,
          makeTopics: ({ topics }) => makeTopics(topics),
          notedTags: () => readTags(store.sql),
        },
      ),
  };
}
