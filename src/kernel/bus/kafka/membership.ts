import { Consumer, type GroupPartitionsAssigner } from '@platformatic/kafka';
import { pause, type Scheduler } from '../../core/clock.ts';
import { toError } from '../../core/errors.ts';
import type { Log } from '../../observability/log.ts';
import { assign } from './assigner.ts';
import { type KafkaConnection, openClient, unavailable } from './client.ts';

export interface MembershipSettings {
  readonly groupId: string;
  readonly topic: string;
  /** A member that is silent for so long is put out by Kafka, milliseconds. */
  readonly sessionTimeoutMs: number;
  readonly heartbeatMs: number;
}

/** Membership in one of Kafka's consumer groups: it says which partitions of a topic this process is to handle. */
export interface Membership {
  /** Joins in the background, again and again while the brokers are out of reach. */
  start(): void;
  /** The partitions that are ours to handle; none while Kafka may have given them to another. */
  readonly assigned: readonly number[];
  /** Why this process cannot be given any; undefined while it can. */
  readonly trouble: string | undefined;
  /** Tells Kafka how far we are, for those who look at the group's lag. What counts is kept with the effects. */
  commit(offsets: ReadonlyMap<number, number>): Promise<void>;
  leave(): Promise<void>;
}

const RETRY_MS = 1_000;
const ATTEMPTS_BEFORE_WARNING = 3;
/** A join lasts as long as others take to join, which is longer than one request may: it is sent again. */
const JOIN_RETRIES = 3;
const JOIN_RETRY_MS = 200;
const PROTOCOL = 'cooperative-sticky';

/** @param onChange called when `assigned` may have changed */
export function createMembership(
  connection: KafkaConnection,
  settings: MembershipSettings,
  clock: Scheduler,
  log: Log,
  onChange: () => void,
): Membership {
  const { groupId, topic, sessionTimeoutMs, heartbeatMs } = settings;
  let client: Consumer | undefined;
  /** Of the client before, if it could not leave: a group waits for each member until its session has run out. */
  let memberId: string | null = null;
  let joined = false;
  let stopped = false;
  let lastHeard = 0;
  /** What went wrong last, since all was well. */
  let failure: string | undefined;
  let working: Promise<void> = Promise.resolve();

  const open = (): Consumer => {
    const opened = openClient(
      connection,
      (options) =>
        new Consumer({
          ...options,
          retries: JOIN_RETRIES,
          retryDelay: JOIN_RETRY_MS,
          groupId,
          sessionTimeout: sessionTimeoutMs,
          rebalanceTimeout: sessionTimeoutMs,
          heartbeatInterval: heartbeatMs,
          protocols: [{ name: PROTOCOL, version: 3 }],
          partitionAssigner: assignPartitions,
        }),
    );
    opened.memberId = memberId;
    opened.topics.track(topic);
    opened.on('consumer:group:join', () => {
      lastHeard = performance.now();
      onChange();
    });
    opened.on('consumer:heartbeat:end', () => {
      lastHeard = performance.now();
      failure = undefined;
    });
    opened.on('consumer:heartbeat:error', ({ error }: { readonly error: Error }) => {
      failure = unavailable(error, connection).message;
      log.debug({ group: groupId, error }, 'a heartbeat failed');
      onChange();
    });
    opened.on('error', (error: Error) => void rejoin(opened, error));
    return opened;
  };

  const join = async (): Promise<void> => {
    for (let attempt = 1; !stopped; attempt++) {
      client = open();
      try {
        await client.joinGroup({});
        joined = true;
        if (failure !== undefined) log.info({ group: groupId }, 'joined the consumer group again');
        failure = undefined;
        return onChange();
      } catch (cause) {
        const error = unavailable(cause, connection);
        // Of a cluster that is just starting, or whose members come and go, the first answers are such.
        const level = attempt === ATTEMPTS_BEFORE_WARNING ? 'warn' : 'debug';
        log[level]({ group: groupId, error }, 'cannot join the consumer group yet; trying again');
        if (attempt >= ATTEMPTS_BEFORE_WARNING) failure = error.message;
        await end(client);
        await pause(clock, RETRY_MS);
      }
    }
  };

  /** The client has given up: whatever it was, a new one begins anew. */
  const rejoin = async (lost: Consumer, cause: Error): Promise<void> => {
    if (stopped || !joined || lost !== client) return;
    joined = false;
    failure = undefined;
    log.info({ group: groupId, error: unavailable(cause, connection) }, 'lost the consumer group; joining again');
    onChange();
    await end(lost);
    working = join();
  };

  /** A client that is closed while it joins would go on to send heartbeats: it has to know first that it leaves. */
  const end = async (ended: Consumer): Promise<void> => {
    const ignore = (cause: unknown): void =>
      log.debug({ group: groupId, error: toError(cause) }, 'left without a word');
    const { memberId: left } = ended;
    await new Promise<void>((resolve) => {
      ended.leaveGroup(true, (error) => {
        if (error) ignore(error);
        memberId = error ? left : null;
        resolve();
      });
    });
    await ended.close(true).catch(ignore);
  };

  /** Kafka may have given the partitions to another. */
  const isSilent = (): boolean => performance.now() - lastHeard > sessionTimeoutMs;

  return {
    start: () => {
      working = join();
    },
    get assigned() {
      if (!joined || isSilent()) return [];
      return client?.assignments?.find((assignment) => assignment.topic === topic)?.partitions ?? [];
    },
    get trouble() {
      return joined && !isSilent() ? undefined : failure;
    },
    commit: async (offsets) => {
      if (!joined || offsets.size === 0) return;
      const list = [...offsets].map(([partition, offset]) => ({
        topic,
        partition,
        offset: BigInt(offset),
        leaderEpoch: -1,
      }));
      await client!
        .commit({ offsets: list })
        .catch((cause) => log.debug({ group: groupId, error: toError(cause) }, 'offsets were not committed'));
    },
    leave: async () => {
      stopped = true;
      joined = false;
      if (client !== undefined) await end(client);
      await working;
    },
  };
}

/** Kafka makes member ids from the client's id, which names the process: one process has the same rank in every group. */
const assignPartitions: GroupPartitionsAssigner = (_current, members, topics, metadata) => {
  const memberIds = [...members.keys()];
  const result = memberIds.map((memberId) => ({
    memberId,
    assignments: new Map<string, { topic: string; partitions: number[] }>(),
  }));
  for (const topic of topics) {
    const owners = assign(memberIds.map(clientOf), metadata.topics.get(topic)?.partitionsCount ?? 0);
    for (const [partition, owner] of owners.entries()) {
      const { assignments } = result[owner]!;
      const assignment = assignments.get(topic);
      if (assignment === undefined) assignments.set(topic, { topic, partitions: [partition] });
      else assignment.partitions.push(partition);
    }
  }
  return result;
};

/** A member id is the client's id, a dash, and a UUID. */
function clientOf(memberId: string): string {
  return memberId.slice(0, -37);
}
