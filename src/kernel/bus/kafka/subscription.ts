import { pause, type Scheduler } from '../../core/clock.ts';
import { toError } from '../../core/errors.ts';
import type { Log } from '../../observability/log.ts';
import type { PartitionRef } from '../group.ts';
import { groupName } from '../topology.ts';
import type { KafkaConnection } from './client.ts';
import { createFetcher, type FetchPorts } from './fetcher.ts';
import { createMembership } from './membership.ts';

export interface SubscriptionSettings {
  /** The service that consumes. */
  readonly consumer: string;
  readonly topics: readonly string[];
  /** A member that says nothing to Kafka for so long loses its partitions, milliseconds. */
  readonly sessionTimeoutMs: number;
  readonly kafkaHeartbeatMs: number;
  readonly fetchWaitMs: number;
  readonly fetchBytes: number;
  readonly partitionBytes: number;
}

interface Ports extends FetchPorts {
  readonly connection: KafkaConnection;
  readonly clock: Scheduler;
  readonly log: Log;
  /** Called when `assigned` may have changed. */
  onAssigned(): void;
}

/** What a consumer has to do with Kafka for the topics of one topology: a group for each of them, and the messages. */
export interface Subscription {
  /** Joins the groups in the background: nobody who only wants to ask the service something has to wait for Kafka. */
  start(): void;
  /** What Kafka gives this process to handle. */
  readonly assigned: readonly PartitionRef[];
  /** Why nothing can be read, or not of every topic; undefined while all goes well. */
  readonly trouble: string | undefined;
  /** Looks again at what is to be fetched. */
  poke(): void;
  /** Tells Kafka how far we are, for those who look at a group's lag. What counts is kept with the effects. */
  commit(offsets: readonly (PartitionRef & { readonly offset: number })[]): Promise<void>;
  stopReading(): Promise<void>;
  /** Leaves the groups. */
  close(): Promise<void>;
}

const RETRY_MS = 1_000;

export function createSubscription(settings: SubscriptionSettings, ports: Ports): Subscription {
  const { connection, clock, log } = ports;
  const { consumer, topics } = settings;
  let stopped = false;
  let beginning: Promise<void> = Promise.resolve();
  const memberships = topics.map((topic) => ({
    topic,
    membership: createMembership(
      connection,
      {
        groupId: groupName(consumer, topic),
        topic,
        sessionTimeoutMs: settings.sessionTimeoutMs,
        heartbeatMs: settings.kafkaHeartbeatMs,
      },
      clock,
      log,
      ports.onAssigned,
    ),
    committed: new Map<number, number>(),
  }));
  const fetcher = createFetcher(
    connection,
    {
      topics,
      waitMs: settings.fetchWaitMs,
      maxBytes: settings.fetchBytes,
      partitionBytes: settings.partitionBytes,
    },
    ports,
  );

  const begin = async (): Promise<void> => {
    for (let attempt = 1; !stopped; attempt++) {
      try {
        await ports.makeTopics();
        for (const { membership } of memberships) membership.start();
        return;
      } catch (error) {
        if (attempt === 1) log.warn({ consumer, error: toError(error) }, 'cannot consume yet; trying again');
        await pause(clock, RETRY_MS);
      }
    }
  };

  const stopReading = async (): Promise<void> => {
    stopped = true;
    await beginning;
    await fetcher.close();
  };

  return {
    start: () => {
      beginning = begin();
    },
    get assigned() {
      return memberships.flatMap(({ topic, membership }) =>
        membership.assigned.map((partition) => ({ topic, partition })),
      );
    },
    get trouble() {
      return fetcher.trouble ?? memberships.map(({ membership }) => membership.trouble).find(Boolean);
    },
    poke: () => fetcher.poke(),
    commit: async (offsets) => {
      await Promise.all(
        memberships.map(async ({ topic, membership, committed }) => {
          const due = offsets.filter((ref) => ref.topic === topic && committed.get(ref.partition) !== ref.offset);
          await membership.commit(new Map(due.map(({ partition, offset }) => [partition, offset])));
          for (const { partition, offset } of due) committed.set(partition, offset);
        }),
      );
    },
    stopReading,
    close: async () => {
      await stopReading();
      await Promise.all(memberships.map(({ membership }) => membership.leave()));
    },
  };
}
