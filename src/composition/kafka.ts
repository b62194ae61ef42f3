import { readFileSync } from 'node:fs';
import type { Consumer } from '#kernel/bus/consumer.ts';
import type { DeadLetterOutbox, DeadLetterTopics } from '#kernel/bus/dead-letters.ts';
import type { GroupStore } from '#kernel/bus/group.ts';
import type { KafkaConnection } from '#kernel/bus/kafka/client.ts';
import { createKafkaConsumer } from '#kernel/bus/kafka/consumer.ts';
import { createKafkaDeadLetters } from '#kernel/bus/kafka/dead-letter-topics.ts';
import { createKafkaDestination } from '#kernel/bus/kafka/destination.ts';
import type { Compression } from '#kernel/bus/kafka/producer.ts';
import { createSentBatches } from '#kernel/bus/kafka/sent-batches.ts';
import { createTopicRegister } from '#kernel/bus/kafka/topic-register.ts';
import { ensureTopics, type TopicSettings } from '#kernel/bus/kafka/topics.ts';
import { createDeadLetterOutbox } from '#kernel/bus/postgres/dead-letter-outbox.ts';
import { readTags } from '#kernel/bus/postgres/topics.ts';
import type { Destination, TopicRegister } from '#kernel/bus/relay.ts';
import { eventTopics, type Topic, type Topology } from '#kernel/bus/topology.ts';
import type { Scheduler } from '#kernel/core/clock.ts';
import type { Log } from '#kernel/observability/log.ts';
import type { Pool } from '#kernel/postgres/pool.ts';
import { type Config, ConfigError } from '#src/config.ts';

/** A bus apart from the log: events are carried to it, and services consume from it. */
export interface Bus {
  /** Where the relay of this store brings events. */
  destination(): Destination;
  /** The topics, as this store knows them. */
  readonly register: TopicRegister;
  /** Where dead letters go besides the rows that operators see, and those of this store that have still to. */
  deadLetters(topology: Topology): { readonly topics: DeadLetterTopics; readonly outbox: DeadLetterOutbox };
  /** A member of a service's consumer groups. */
  consumer(service: { readonly name: string; readonly types: readonly string[] }, ports: BusPorts): Consumer;
}

interface BusPorts {
  /** Those that there are; the first is that of a store that is new. */
  readonly topologies: readonly [Topology, ...Topology[]];
  readonly groups: GroupStore;
  readonly announce: () => Promise<void>;
}

interface StoreSide {
  /** Names the store among all on the bus. */
  readonly id: string;
  readonly sql: Pool;
  /** The CloudEvents source of an event type. */
  source(type: string): string;
}

const COMPRESSIONS: readonly Compression[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];
const MECHANISMS = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const;

/**
 * Kafka as the bus; undefined when KAFKA_BROKERS is not set.
 * @throws ConfigError naming the setting that is wrong
 */
export function kafkaBus(config: Config, store: StoreSide, clock: Scheduler, log: Log): Bus | undefined {
  const connection = connectionOf(config);
  if (connection === undefined) return undefined;
  const compression = oneOf('KAFKA_COMPRESSION', COMPRESSIONS, config.kafkaCompression);
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

/** How topics are made. */
export function topicSettingsOf(config: Config): TopicSettings {
  return { replication: config.kafkaReplication, retentionMs: config.kafkaRetentionMs };
}

/** Undefined when KAFKA_BROKERS is not set. @throws ConfigError naming the setting that is wrong */
export function connectionOf(config: Config): KafkaConnection | undefined {
  if (config.kafkaBrokers === undefined) return undefined;
  const brokers = config.kafkaBrokers.split(',').map((broker) => broker.trim());
  const wrong = brokers.find((broker) => !/^[^\s:]+:\d{1,5}$|^\[[^\s\]]+\]:\d{1,5}$/.test(broker));
  if (wrong !== undefined) throw new ConfigError(`KAFKA_BROKERS: "${wrong}" is not host:port`);
  const tls = tlsOf(config.kafkaTls);
  const sasl = saslOf(config);
  return {
    brokers,
    clientId: `caudal-${config.instance}`,
    ...(tls !== undefined && { tls }),
    ...(sasl !== undefined && { sasl }),
  };
}

function saslOf(config: Config): KafkaConnection['sasl'] {
  const { kafkaSaslMechanism: mechanism, kafkaSaslUsername: username, kafkaSaslPassword: password } = config;
  if (mechanism === undefined) return undefined;
  if (username === undefined || password === undefined)
    throw new ConfigError('KAFKA_SASL_MECHANISM is set: KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD have to be, too');
  return { mechanism: oneOf('KAFKA_SASL_MECHANISM', MECHANISMS, mechanism), username, password };
}

function tlsOf(setting: string): KafkaConnection['tls'] {
  if (setting === 'off') return undefined;
  if (setting === 'on') return {};
  try {
    return { ca: readFileSync(setting) };
  } catch (cause) {
    throw new ConfigError(`KAFKA_TLS=${setting}: neither off nor on, and no file that can be read`, { cause });
  }
}

function oneOf<T extends string>(setting: string, known: readonly T[], value: string): T {
  const found = known.find((candidate) => candidate === value);
  if (found === undefined) throw new ConfigError(`${setting}=${value}: known are ${known.join(', ')}`);
  return found;
}
