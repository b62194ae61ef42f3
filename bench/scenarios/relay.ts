import { countArrived, type TopicCounts } from '../harness/arrived.ts';
import { fillStore } from '../harness/fill.ts';
import { withKafka } from '../harness/kafka.ts';
import { openRelayProcess } from '../harness/relay-process.ts';
import { type BenchServer, withBenchServer } from '../harness/server.ts';
import { usageOf } from '../harness/usage.ts';
import { type Versions, versions } from '../harness/versions.ts';
import { customersOf, openWallets } from '../harness/wallets.ts';
import { countEvents, type OnPhase } from '../harness/window.ts';

export interface RelayOptions {
  /** The store is filled with so many events first. */
  readonly events: number;
  readonly profile?: string;
  readonly onPhase: OnPhase;
}

/** Seconds of processor time while all events were carried. */
export interface RelayCpu {
  readonly relay: number;
  readonly postgres: number;
  readonly kafka: number;
}

export interface RelayResult extends Versions {
  readonly events: number;
  /** From the start of the relay until its last event has arrived and that is noted. */
  readonly seconds: number;
  readonly events_per_second: number;
  /** Undefined where the system does not tell. */
  readonly cpu_seconds: RelayCpu | undefined;
  readonly topics: readonly TopicCounts[];
  /** Every topic holds each of its events once, and all of them are noted. */
  readonly complete: boolean;
}

const CONNECTIONS = 256;
const WALLETS = 1000;

/**
 * Fills a store with wallet payments while the log is the bus, stops the server, and measures how long its relay takes to carry
 * everything to a Kafka that is empty, with nothing else running. Then compares the topics with the log.
 */
export function benchRelay(options: RelayOptions): Promise<RelayResult> {
  const { onPhase } = options;
  return withBenchServer({ onPhase }, async (server) => {
    const customers = customersOf(WALLETS);
    onPhase(`opening ${customers.length} wallets`);
    await openWallets(server.url, customers);
    await fillStore(server, customers, { events: options.events, connections: CONNECTIONS, onPhase });
    await server.halt();
    return withKafka(server.dataDir, onPhase, async ({ bootstrap, brokers: [broker] }) => {
      const carried = await carry(server, bootstrap, broker!.pid!, options);
      onPhase('comparing the topics with the log');
      const { pool, topologies } = server.database;
      const events = await countEvents(pool);
      const topics = await countArrived(pool, topologies[0], bootstrap);
      return {
        events,
        events_per_second: Math.round(events / carried.seconds),
        ...carried,
        topics,
        complete: topics.every(({ events, messages, landings, landed }) =>
          [messages, landings, landed].every((count) => count === events),
        ),
        ...(await versions(pool)),
      };
    });
  });
}

async function carry(
  { dataDir, postgresPid }: BenchServer,
  bootstrap: readonly string[],
  kafkaPid: number,
  { profile, onPhase }: RelayOptions,
): Promise<Pick<RelayResult, 'seconds' | 'cpu_seconds'>> {
  const env = { CAUDAL_DATA: dataDir, DATABASE_URL: '', KAFKA_BROKERS: bootstrap.join(','), KAFKA_REPLICATION: '1' };
  const relay = await openRelayProcess(env, profile);
  try {
    onPhase('carrying every event to Kafka');
    const usage = (): RelayCpu | undefined => {
      const [own, postgres, kafka] = [usageOf(relay.pid), usageOf(postgresPid), usageOf(kafkaPid)];
      if (own === undefined || postgres === undefined || kafka === undefined) return undefined;
      return { relay: own.own, postgres: postgres.own + postgres.children, kafka: kafka.own };
    };
    const before = usage();
    const seconds = await relay.carryAll();
    const after = usage();
    await relay.close();
    const used = (part: keyof RelayCpu): number => Math.round((after![part] - before![part]) * 100) / 100;
    return {
      seconds: Math.round(seconds * 100) / 100,
      cpu_seconds: before && after && { relay: used('relay'), postgres: used('postgres'), kafka: used('kafka') },
    };
  } finally {
    relay.kill();
  }
}
