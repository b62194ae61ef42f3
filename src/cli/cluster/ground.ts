import { join } from 'node:path';
import { type Kafka, startKafka } from '#kernel/bus/kafka/server/cluster.ts';
import type { Log } from '#kernel/observability/log.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import { type Database, openDatabase, SERVICES_WITH_TABLES } from '#src/composition/database.ts';
import type { Config } from '#src/config.ts';

/** The cluster itself only looks at tables. */
const CONNECTIONS = 2;

/** What the instances stand on: one PostgreSQL, and one Kafka unless the log is to be the bus. */
export interface Ground {
  /**
   * Opens those that the settings name, else our own in the data folder, which are started.
   * @throws Error with a reason that a person can act on; what was started remains to be stopped
   */
  open(): Promise<OpenGround>;
  /** Stops what was started here, Kafka first. To be called when `open` is over. */
  stop(): Promise<void>;
  /** As `stop`, at any time, but leaves Kafka to end with this process, as it does of itself. */
  stopAtOnce(): Promise<void>;
}

/** What the instances have to know of it. */
export interface OpenGround {
  readonly sql: Sql;
  /** `host:port` of its brokers; undefined without Kafka. */
  readonly kafka: string | undefined;
  /** As environment variables. */
  readonly settings: Readonly<Record<string, string>>;
}

/**
 * @param log of how it goes
 * @param say tells the person who waits
 */
export function createGround(config: Config, withKafka: boolean, log: Log, say: (message: string) => void): Ground {
  let opening: Promise<Database> | undefined;
  let kafka: Kafka | undefined;
  let closing: Promise<void> | undefined;

  const openKafka = async (): Promise<Omit<OpenGround, 'sql'>> => {
    if (!withKafka) return { kafka: undefined, settings: { KAFKA_BROKERS: '' } };
    if (config.kafkaBrokers !== undefined) return { kafka: config.kafkaBrokers, settings: {} };
    say('Kafka starts…');
    kafka = await startKafka({
      dataDir: join(config.dataDir, 'kafka'),
      cacheDir: config.cacheDir,
      log: { info: say, warn: say },
      lifetime: 'caller',
      heap: config.kafkaHeap,
    });
    const brokers = kafka.bootstrap.join(',');
    return {
      kafka: brokers,
      settings: { KAFKA_BROKERS: brokers, KAFKA_REPLICATION: String(kafka.brokers.length) },
    };
  };

  const closeDatabase = (): Promise<void> => {
    closing ??=
      opening === undefined
        ? Promise.resolve()
        : opening.then(
            (database) => database.close(),
            // It cleans up itself where it fails.
            () => undefined,
          );
    return closing;
  };

  return {
    open: async () => {
      say('PostgreSQL starts…');
      opening = openDatabase({ ...config, poolSize: CONNECTIONS }, log, SERVICES_WITH_TABLES);
      const { pool } = await opening;
      return { sql: pool, ...(await openKafka()) };
    },
    stop: async () => {
      // Brokers that ran before are somebody else's.
      for (const id of kafka?.started ?? []) await kafka!.stopBroker(id);
      await closeDatabase();
    },
    stopAtOnce: closeDatabase,
  };
}
