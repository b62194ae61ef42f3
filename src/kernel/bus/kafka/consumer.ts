import type { Scheduler } from '../../core/clock.ts';
import { MembershipLostError } from '../../core/errors.ts';
import type { RecordedEvent } from '../../core/event.ts';
import { LOG_START, type LogPosition } from '../../core/log-position.ts';
import type { Progress } from '../../event-store/store.ts';
import type { Log } from '../../observability/log.ts';
import { type Consumer, consumedPartitions } from '../consumer.ts';
import {
  type GroupStore,
  type GroupView,
  joinUntilMember,
  type MemberProgress,
  type Ownership,
  type PartitionRef,
  partitionName,
  type Seat,
  standing,
} from '../group.ts';
import { handledBefore, topologyNamed } from '../seat.ts';
import { deadLetterTopic, placeOf, type Topology, topicsOf } from '../topology.ts';
import { unreadablePlace } from '../unreadable.ts';
import type { KafkaConnection } from './client.ts';
import { eventsOf } from './events.ts';
import type { Fetched, FetchPoint } from './fetcher.ts';
import type { SentBatches } from './sent-batches.ts';
import { advance, isHandled, offsetOf, topicTagOf } from './standing.ts';
import { createSubscription, type Subscription } from './subscription.ts';

export interface KafkaConsumerSettings {
  /** The service that consumes. */
  readonly name: string;
  /** This process, unique among those that ever ran. */
  readonly member: string;
  readonly types: readonly string[];
  /** Events handed out at once. */
  readonly maxPoll: number;
  /** While so many messages are held in memory, no more are fetched. */
  readonly maxInbox: number;
  /** A member that says nothing to the store for so long is put out, milliseconds. */
  readonly leaseMs: number;
  /** The same with Kafka. */
  readonly sessionTimeoutMs: number;
  readonly kafkaHeartbeatMs: number;
  /** How often offsets are committed to Kafka, milliseconds. */
  readonly commitMs: number;
  readonly fetchWaitMs: number;
  readonly fetchBytes: number;
  readonly partitionBytes: number;
}

interface Ports {
  readonly connection: KafkaConnection;
  readonly groups: GroupStore;
  /** Those that it may be on: the first while the store knows of none. */
  readonly topologies: readonly [Topology, ...Topology[]];
  readonly clock: Scheduler;
  readonly log: Log;
  /** Creates the topics that are missing. */
  makeTopics(topology: Topology): Promise<void>;
  /** See `FetchPorts`. */
  notedTags(): Promise<ReadonlyMap<string, number>>;
  /** What this process sends itself. */
  readonly sent: SentBatches;
  /** Called before a member that was put out joins anew; see `Presence.announce`. */
  readonly announce?: () => Promise<void>;
}

/** A message that was fetched; without an event when it was handled before. */
interface Waiting {
  readonly name: string;
  readonly offset: number;
  readonly topicTag: number;
  readonly chain: string | undefined;
  readonly event: RecordedEvent | undefined;
}

/** A partition of ours: what was fetched of it, and what was handed out. */
interface Owned {
  readonly ref: PartitionRef;
  fetched: Record<string, number>;
  taken: Record<string, number>;
  /** The offset behind its last message, as far as is known. */
  end: number;
}

/**
 * A consumer on Kafka. Kafka's groups, one a topic, say which partitions this process is to handle; whether it may is what the
 * service's own database says: a partition has one owner there, and its position is saved in the transaction of the effects.
 * So a process that Kafka takes for dead, and that wakes with work in hand, is refused by its database; and what was given to
 * another is handled there from the very message where it was left.
 */
export function createKafkaConsumer(settings: KafkaConsumerSettings, ports: Ports): Consumer {
  const { groups, topologies, clock, log, sent } = ports;
  const { name: consumer } = settings;
  const types = new Set(settings.types);
  const on = (name: string): readonly PartitionRef[] =>
    consumedPartitions(topologyNamed(topologies, name), settings.types);
  let seat: Seat = { topology: topologies[0].name };
  let topology = topologies[0];
  let wasHandled = handledBefore(seat, topologies);
  let subscription: Subscription | undefined;
  let subscribedTo: Topology | undefined;
  let generation = 0;
  let member = settings.member;
  let ownership: Ownership = { owned: [], progress: { cursor: LOG_START, ahead: {} } };
  let owned = new Map<string, Owned>();
  let waiting: Waiting[] = [];
  let view: GroupView | undefined;
  /** Messages were passed over that need no handling: worth saving when nothing else is. */
  let passed = false;
  let idleDue = false;
  let ready: () => void = () => undefined;
  let endCommits: () => void = () => undefined;

  const subscribe = (): Subscription =>
    createSubscription(
      { consumer, topics: topicsOf(topology, settings.types).map(({ name }) => name), ...settings },
      {
        ...ports,
        makeTopics: () => ports.makeTopics(topology),
        points: () => (waiting.length >= settings.maxInbox ? [] : [...owned.values()].map(toPoint)),
        deliver: (point, fetched) => accept(point, fetched),
        onAssigned: () => lookSoon(),
      },
    );

  /**
   * Goes past an offset without a message to handle. Such is one that was written for a topic of the same name that was deleted:
   * its store sends it again, behind what has to come first.
   */
  const pass = ({ fetched }: Owned, name: string, offset: number, topicTag: number): void => {
    waiting.push({ name, offset, topicTag, chain: undefined, event: undefined });
    advance(fetched, { offset, topicTag });
  };

  const accept = (point: FetchPoint, fetched: Fetched): void => {
    const name = partitionName(point);
    const partition = owned.get(name);
    // It was given away or begun anew meanwhile.
    if (partition === undefined || offsetOf(partition.fetched) !== point.offset) return;
    const { topicTag } = fetched;
    partition.end = fetched.end;
    let misplaced = 0;
    for (const { offset, event, chain, writtenFor = topicTag } of eventsOf(point, fetched.batches, sent)) {
      if (offset < (point.offset ?? 0)) continue;
      if (writtenFor !== topicTag) {
        pass(partition, name, offset, topicTag);
        misplaced += 1;
        continue;
      }
      const handled =
        chain !== undefined && (isHandled(partition.fetched, chain, event.chainPosition) || wasHandled(event, chain));
      const wanted = !handled && (chain === undefined || types.has(event.type));
      waiting.push({ name, offset, topicTag, chain, event: wanted ? event : undefined });
      advance(partition.fetched, { offset, topicTag, chain, position: event.chainPosition });
    }
    if (offsetOf(partition.fetched) !== fetched.nextOffset || topicTagOf(partition.fetched) !== topicTag)
      pass(partition, name, fetched.nextOffset - 1, topicTag);
    if (misplaced > 0)
      log.info(
        { consumer, ...partition.ref, messages: misplaced },
        'messages were left out that had been written for the topic before it was deleted: they are sent again',
      );
    if (waiting.length > 0) ready();
  };

  const own = (next: Ownership): void => {
    ownership = next;
    owned = new Map(
      next.owned.map((ref) => {
        const at = standing(next.progress, ref);
        return [partitionName(ref), { ref, fetched: { ...at }, taken: { ...at }, end: offsetOf(at) ?? 0 }];
      }),
    );
    waiting = [];
    subscription?.poke();
  };

  const progressNow = (): Progress => {
    const ahead = Object.fromEntries([...owned].map(([name, { taken }]) => [name, { ...taken }]));
    return { consumer, member, value: { cursor: LOG_START, ahead } satisfies MemberProgress };
  };

  /** What has to change hands: given back at once, taken as soon as the owner before has given it back or is put out. */
  const exchangeDue = (seen: GroupView): { readonly release: PartitionRef[]; readonly acquire: PartitionRef[] } => {
    const wanted = new Map((subscription?.assigned ?? []).map((ref) => [partitionName(ref), ref]));
    const free = seen.partitions.filter((partition) => partition.owner === undefined).map(partitionName);
    return {
      release: ownership.owned.filter((ref) => !wanted.has(partitionName(ref))),
      acquire: free.filter((name) => wanted.has(name) && !owned.has(name)).map((name) => wanted.get(name)!),
    };
  };

  const look = async (): Promise<void> => {
    const asked = member;
    const seen = await groups.heartbeat(consumer, asked, settings.leaseMs);
    if (asked !== member) return;
    const { release, acquire } = exchangeDue(seen);
    const lost = !seen.members.includes(member);
    if (!lost && release.length + acquire.length === 0) return;
    view = seen;
    ready();
  };

  /** What Kafka gives and takes is seen at once; if the store cannot be asked now, the next heartbeat sees it. */
  const lookSoon = (): void => {
    look().catch((error: Error) => log.debug({ consumer, error }, 'cannot look at the group yet'));
  };

  /** Who comes to another topology leaves the groups of the topics before. */
  const enter = async (): Promise<void> => {
    seat = await groups.enter(consumer, member, { home: topologies[0].name, on });
    topology = topologyNamed(topologies, seat.topology);
    wasHandled = handledBefore(seat, topologies);
    if (subscribedTo === topology) return;
    await subscription?.close();
    subscription = subscribe();
    subscribedTo = topology;
    subscription.start();
  };

  const join = async (): Promise<void> => {
    member = generation === 0 ? settings.member : `${settings.member}.${generation}`;
    generation += 1;
    await enter();
    own({ owned: [], progress: { cursor: LOG_START, ahead: {} } });
    view = await groups.heartbeat(consumer, member, settings.leaseMs);
    await exchange();
  };

  const exchange = async (): Promise<void> => {
    const seen = view;
    view = undefined;
    if (seen === undefined) return;
    const { release, acquire } = exchangeDue(seen);
    if (release.length + acquire.length > 0) own(await groups.exchange(consumer, member, release, acquire));
  };

  const commitOffsets = async (): Promise<void> => {
    const offsets = ownership.owned.flatMap((ref) => {
      const offset = offsetOf(standing(ownership.progress, ref));
      return offset === undefined ? [] : [{ ...ref, offset }];
    });
    await subscription?.commit(offsets);
  };

  const takeFrom = (next: Waiting): RecordedEvent | undefined => {
    const { name, offset, topicTag, chain, event } = next;
    const { taken } = owned.get(name)!;
    advance(taken, { offset, topicTag, chain, position: event?.chainPosition });
    return event;
  };

  return {
    start: async () => {
      await joinUntilMember(join, ports.announce);
      endCommits = clock.every(settings.commitMs, () => void commitOffsets());
    },
    take: (max) => {
      if (waiting.length === 0) return undefined;
      const events: RecordedEvent[] = [];
      const most = Math.min(max, settings.maxPoll);
      let used = 0;
      for (; used < waiting.length && events.length < most; used++) {
        const event = takeFrom(waiting[used]!);
        if (event !== undefined) events.push(event);
      }
      const wasFull = waiting.length >= settings.maxInbox;
      waiting = waiting.slice(used);
      if (wasFull && waiting.length < settings.maxInbox) subscription?.poke();
      passed ||= events.length === 0;
      return { events, progress: progressNow() };
    },
    confirm: (progress) => {
      ownership = { ...ownership, progress: progress.value as MemberProgress };
      passed = false;
    },
    rewind: async (membershipLost) => {
      if (membershipLost) {
        await ports.announce?.();
        return join();
      }
      own(await groups.exchange(consumer, member, [], []));
    },
    get pending() {
      return waiting.length;
    },
    get needsCare() {
      return view !== undefined;
    },
    maintain: async () => {
      if (view?.members.includes(member) === false)
        throw new MembershipLostError(`${member} is no longer a member of consumer ${consumer}`);
      await exchange();
    },
    get progress() {
      return progressNow();
    },
    idleProgress: () => {
      if (!idleDue || !passed || waiting.length > 0) return undefined;
      idleDue = false;
      return progressNow();
    },
    heartbeat: async () => {
      await look();
      idleDue = true;
    },
    placeOf: (event) => unreadablePlace(event) ?? placeOf(topology, event),
    deadLetters: (named) => deadLetterTopic(topology, named),
    lag: async () => {
      let lag = 0;
      for (const { ref, end } of owned.values())
        lag += Math.max(0, end - (offsetOf(standing(ownership.progress, ref)) ?? 0));
      return lag;
    },
    get owned() {
      return ownership.owned;
    },
    get trouble() {
      return subscription?.trouble;
    },
    onReady: (listener) => {
      ready = listener;
    },
    stop: async () => {
      endCommits();
      await subscription?.stopReading();
      await commitOffsets();
      try {
        // First where it counts: whoever is given the partitions next finds them free.
        await groups.exchange(consumer, member, ownership.owned, []);
        await groups.leave(consumer, member);
      } finally {
        await subscription?.close();
      }
    },
  };
}

function toPoint({ ref, fetched }: Owned): FetchPoint {
  const at: LogPosition = fetched;
  return { ...ref, offset: offsetOf(at), topicTag: topicTagOf(at) };
}
