import { MembershipLostError } from '../core/errors.ts';
import type { RecordedEvent } from '../core/event.ts';
import { distance, LOG_START, type LogPosition, positionIn } from '../core/log-position.ts';
import type { Committed, Progress, Store } from '../event-store/store.ts';
import {
  assignment,
  type GroupStore,
  type GroupView,
  joinUntilMember,
  type MemberProgress,
  type Ownership,
  type PartitionRef,
  partitionName,
  type Seat,
} from './group.ts';
import { createInbox } from './inbox.ts';
import { handledBefore, topologyNamed } from './seat.ts';
import type { Tail } from './tail.ts';
import { deadLetterTopic, type Place, placeOf, type Topology, topicsOf } from './topology.ts';

export interface ConsumerSettings {
  /** The service, or the read model, that consumes. */
  readonly name: string;
  /** This process, unique among those that ever ran. */
  readonly member: string;
  readonly types: readonly string[];
  /** True for a reader that has to see everything in order: one member has all of it, the others stand by. */
  readonly exclusive?: boolean;
  /** While so many events are held in memory, no further page is read: what is beyond waits in the log. */
  readonly maxInbox: number;
  /** Events of each chain that are read from the log at once. */
  readonly fetchSize: number;
  /** A member that says nothing for so long is put out, milliseconds. */
  readonly leaseMs: number;
}

export interface Taken {
  readonly events: readonly RecordedEvent[];
  /** To be saved in the transaction that handles the events. */
  readonly progress: Progress;
}

/** One member of a consumer group over the log. `take` hands out; `confirm` or `rewind` says what became of it. */
export interface Consumer {
  /** Joins the group and takes its share of the partitions. */
  start(): Promise<void>;
  take(max: number): Taken | undefined;
  confirm(progress: Progress): void;
  /** Hands out again what was taken since the last confirmation: the progress is read anew, if need be by joining anew. */
  rewind(membershipLost: boolean): Promise<void>;
  /** Events that `take` can hand out. */
  readonly pending: number;
  /** Whether `maintain` has something to do: partitions to exchange, or the log to read. */
  readonly needsCare: boolean;
  /** Between two batches: exchanges partitions and reads the log. */
  maintain(): Promise<void>;
  /**
   * Reads the log while what was taken is still being handled; until it has ended, nothing but `take` and `confirm` may be called.
   * Undefined when there is nothing to read, or partitions are to be exchanged first.
   */
  readAhead?(): Promise<void> | undefined;
  /** How far everything taken goes. A batch without new messages carries it too: it is what proves the membership. */
  readonly progress: Progress;
  /**
   * Progress that is not saved yet although nothing is under way; undefined when there is none. Given once for each
   * heartbeat: to read foreign events again costs less than a commit for every stretch of them.
   */
  idleProgress(): Progress | undefined;
  /** Says "alive" and looks who else is; to be called about every second. */
  heartbeat(): Promise<void>;
  placeOf(event: RecordedEvent): Place | undefined;
  /** The topic of its dead letters. @param named the one that the service names */
  deadLetters(named: string): string;
  /** Events of the log that are not handled yet, its own types and others alike; 0 for a member that only stands by. */
  lag(): Promise<number>;
  readonly owned: readonly PartitionRef[];
  /** Why no messages can come, whatever others do; undefined while they can. */
  readonly trouble?: string | undefined;
  /** Called whenever there may be something to take. */
  onReady(listener: () => void): void;
  /** Gives the partitions back and leaves. Everything taken must be confirmed or given up. */
  stop(): Promise<void>;
}

interface Ports {
  readonly store: Pick<Store, 'readLog' | 'head'>;
  readonly groups: GroupStore;
  readonly tail: Tail;
  /** Those that it may be on: the first while the store knows of none. */
  readonly topologies: readonly [Topology, ...Topology[]];
  /** Called before a member that was put out joins anew; see `Presence.announce`. */
  readonly announce?: () => Promise<void>;
}

/** A consumer of the event types, sharing the partitions of their topics with the other members of its group. */
export function createConsumer(settings: ConsumerSettings, ports: Ports): Consumer {
  const { store, groups, tail, topologies } = ports;
  const types = new Set(settings.types);
  const on = (name: string): readonly PartitionRef[] => partitionsFor(topologyNamed(topologies, name), settings);
  let seat: Seat = { topology: topologies[0].name };
  let topology = topologies[0];
  let partitions: readonly PartitionRef[] = [];
  let shared = new Set<string>();
  let wasHandled = handledBefore(seat, topologies);
  const inbox = createInbox(LOG_START);
  let generation = 0;
  let member = settings.member;
  let ownership: Ownership = { owned: [], progress: { cursor: LOG_START, ahead: {} } };
  let ownedNames = new Set<string>();
  let saved: LogPosition = LOG_START;
  let view: GroupView | undefined;
  /** How far the log is handled once everything taken is: until that is confirmed, it counts as lag. */
  let taken: LogPosition = LOG_START;
  let idleDue = false;
  let behind = true;
  /** Read already, and not the next: see `LogPage.beyond`. While there is any, we are behind. */
  let beyond: readonly RecordedEvent[] = [];
  let fetching = false;
  let woken = false;
  let early: Committed[] = [];
  let ready: () => void = () => undefined;
  let unsubscribe: () => void = () => undefined;

  const accept = (committed: Committed): void => {
    if (fetching) {
      early.push(committed);
      return;
    }
    if (!tail.alone || inbox.size >= settings.maxInbox) behind = true;
    if (!behind) {
      const { events } = committed;
      const wanted = events.filter((event) => types.has(event.type));
      behind = !inbox.offer(committed.chain, events[0]!.chainPosition, events.at(-1)!.chainPosition, wanted);
    }
    if (behind || inbox.size > 0) ready();
  };

  const own = (next: Ownership): void => {
    ownership = next;
    ownedNames = new Set(next.owned.map(partitionName));
    saved = next.progress.cursor;
    taken = saved;
    inbox.reset(next.progress.cursor);
    beyond = [];
    behind = true;
  };

  const isOurs = (event: RecordedEvent): boolean => {
    const { ahead } = ownership.progress;
    const place = placeOf(topology, event) ?? LOG_PLACE;
    const name = partitionName(place);
    if (!ownedNames.has(name) || wasHandled(event, event.chain)) return false;
    const handled = ahead[name];
    return handled === undefined || event.chainPosition > positionIn(handled, event.chain);
  };

  const progressAt = (cursor: LogPosition): Progress => {
    const ahead: Record<string, LogPosition> = {};
    for (const [name, position] of Object.entries(ownership.progress.ahead)) {
      if (distance(cursor, position) > 0) ahead[name] = position;
    }
    return { consumer: settings.name, member, value: { cursor, ahead } satisfies MemberProgress };
  };

  const rebalance = async (): Promise<void> => {
    const wanted = assignment(view!, member);
    view = undefined;
    const wantedNames = new Set(wanted.map(partitionName));
    const release = ownership.owned.filter((ref) => !wantedNames.has(partitionName(ref)));
    const acquire = wanted.filter((ref) => !ownedNames.has(partitionName(ref)));
    if (release.length + acquire.length > 0) own(await groups.exchange(settings.name, member, release, acquire));
  };

  const fetch = async (): Promise<void> => {
    behind = false;
    woken = false;
    fetching = true;
    try {
      const { types, fetchSize: limit } = settings;
      const page = await store.readLog(inbox.fetched, { types, limit, beyond });
      inbox.add(page.events, page.next);
      beyond = page.beyond ?? [];
      behind = woken || !page.atEnd;
    } catch (cause) {
      behind = true;
      throw cause;
    } finally {
      fetching = false;
      const waiting = early;
      early = [];
      for (const committed of waiting) accept(committed);
    }
  };

  const isToRead = (): boolean => behind && ownership.owned.length > 0 && inbox.size < settings.maxInbox;

  const enter = async (): Promise<void> => {
    if (settings.exclusive) await groups.join(settings.name, member, on(seat.topology));
    else seat = await groups.enter(settings.name, member, { home: topologies[0].name, on });
    topology = topologyNamed(topologies, seat.topology);
    partitions = on(seat.topology);
    shared = new Set(partitions.map(partitionName));
    wasHandled = handledBefore(seat, topologies);
  };

  /** Without the partitions of a topology that was left. */
  const ofTopology = (seen: GroupView): GroupView => ({
    ...seen,
    partitions: seen.partitions.filter((ref) => shared.has(partitionName(ref))),
  });

  const join = async (): Promise<void> => {
    member = generation === 0 ? settings.member : `${settings.member}.${generation}`;
    generation += 1;
    await enter();
    view = ofTopology(await groups.heartbeat(settings.name, member, settings.leaseMs));
    own({ owned: [], progress: { cursor: LOG_START, ahead: {} } });
    await rebalance();
  };

  const needsExchange = (): boolean => {
    if (view === undefined) return false;
    if (!view.members.includes(member)) return true;
    const wanted = assignment(view, member);
    return wanted.length !== ownership.owned.length || wanted.some((ref) => !ownedNames.has(partitionName(ref)));
  };

  return {
    start: async () => {
      unsubscribe = tail.subscribe(accept, () => {
        behind = true;
        woken = true;
        ready();
      });
      await joinUntilMember(join, ports.announce);
    },
    take: (max) => {
      const next = inbox.take(max);
      if (next === undefined) return undefined;
      const { owned, progress } = ownership;
      const allOurs =
        owned.length === partitions.length && Object.keys(progress.ahead).length === 0 && seat.left === undefined;
      const events = allOurs ? next.events : next.events.filter(isOurs);
      if (events.length > 0) taken = next.position;
      return { events, progress: progressAt(next.position) };
    },
    confirm: (progress) => {
      const value = progress.value as MemberProgress;
      saved = value.cursor;
      ownership = { ...ownership, progress: value };
    },
    rewind: async (membershipLost) => {
      if (membershipLost) {
        await ports.announce?.();
        return join();
      }
      own(await groups.exchange(settings.name, member, [], []));
    },
    get pending() {
      return inbox.size;
    },
    get needsCare() {
      return view !== undefined || isToRead();
    },
    maintain: async () => {
      // Who owns nothing is not told of it by a commit that is refused.
      if (view?.members.includes(member) === false)
        throw new MembershipLostError(`${member} is no longer a member of consumer ${settings.name}`);
      if (view !== undefined) await rebalance();
      if (isToRead()) await fetch();
    },
    readAhead: () => (view === undefined && isToRead() ? fetch() : undefined),
    get progress() {
      return progressAt(inbox.position);
    },
    idleProgress: () => {
      if (!idleDue || inbox.size > 0) return undefined;
      idleDue = false;
      const position = inbox.position;
      return distance(saved, position) === 0 ? undefined : progressAt(position);
    },
    heartbeat: async () => {
      const asked = member;
      const seen = await groups.heartbeat(settings.name, asked, settings.leaseMs);
      if (asked !== member) return;
      idleDue = true;
      view = ofTopology(seen);
      if (needsExchange()) ready();
      else view = undefined;
    },
    placeOf: (event) => placeOf(topology, event),
    deadLetters: (named) => deadLetterTopic(topology, named),
    lag: async () =>
      ownership.owned.length === 0
        ? 0
        : distance(distance(saved, taken) > 0 ? saved : inbox.position, await store.head()),
    get owned() {
      return ownership.owned;
    },
    onReady: (listener) => {
      ready = listener;
    },
    stop: async () => {
      unsubscribe();
      await groups.exchange(settings.name, member, ownership.owned, []);
      await groups.leave(settings.name, member);
    },
  };
}

/** Where an event stands for a consumer of types that are on no topic: the log itself is the one partition. */
export const LOG_TOPIC = 'log';
const LOG_PLACE: PartitionRef = { topic: LOG_TOPIC, partition: 0 };

function partitionsFor(topology: Topology, settings: ConsumerSettings): readonly PartitionRef[] {
  if (settings.exclusive) return [LOG_PLACE];
  const refs = consumedPartitions(topology, settings.types);
  return settings.types.some((type) => !topology.routes.has(type)) ? [...refs, LOG_PLACE] : refs;
}

/** The partitions of all topics that events of the types are consumed from. */
export function consumedPartitions(topology: Topology, types: readonly string[]): readonly PartitionRef[] {
  return topicsOf(topology, types).flatMap((topic) =>
    Array.from({ length: topic.partitions }, (_, partition) => ({ topic: topic.name, partition })),
  );
}
