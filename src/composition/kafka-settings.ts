import { readFileSync } from 'node:fs';
import type { KafkaConnection } from '#kernel/bus/kafka/client.ts';
import type { Compression } from '#kernel/bus/kafka/producer.ts';
import type { TopicSettings } from '#kernel/bus/kafka/topics.ts';
import { type Config, ConfigError } from '#src/config.ts';

const COMPRESSIONS: readonly Compression[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];
const MECHANISMS = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const;

/** @throws ConfigError naming the setting */
export function compressionOf(config: Config): Compression {
  return oneOf('KAFKA_COMPRESSION', COMPRESSIONS, config.kafkaCompression);
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
