import { MembershipLostError } from '../core/errors.ts';
import { distance, earlier, LOG_START, type LogPosition, later } from '../core/log-position.ts';

/** One partition of one topic. */
export interface PartitionRef {
  readonly topic: string;
  readonly partition: number;
}

/** `topic/partition`: how a partition is written as a key. */
export function partitionName(ref: PartitionRef): string {
  return `${ref.topic}/${ref.partition}`;
}

export interface OwnedPartition extends PartitionRef {
  /** The member that handles it, or undefined while nobody does. */
  readonly owner: string | undefined;
}

/** Who shares the work of a consumer at this moment. */
export interface GroupView {
  /** Live members, sorted. */
  readonly members: readonly string[];
  /** Members that this look has put out. */
  readonly putOut: readonly string[];
  readonly partitions: readonly OwnedPartition[];
}

/** How far a member has come: all its partitions stand at `cursor`, but for those that are ahead of it. */
export interface MemberProgress {
  readonly cursor: LogPosition;
  /** By partition name. */
  readonly ahead: Readonly<Record<string, LogPosition>>;
}

/** What a member owns, and how far it has come in it. */
export interface Ownership {
  readonly owned: readonly PartitionRef[];
  readonly progress: MemberProgress;
}

/** A partition and where its next owner has to go on. */
export type StandingPartition = PartitionRef & { readonly progress: LogPosition };

/** Where a partition of the member stands. The cursor may have passed, in some chains, what was ahead of it. */
export function standing(progress: MemberProgress, ref: PartitionRef): LogPosition {
  const ahead = progress.ahead[partitionName(ref)];
  return ahead === undefined ? progress.cursor : later(ahead, progress.cursor);
}

/** The progress of a member that owns exactly these partitions: the cursor is the earliest of them. */
export function progressOf(partitions: readonly StandingPartition[]): MemberProgress {
  const [first, ...others] = partitions;
  if (first === undefined) return { cursor: LOG_START, ahead: {} };
  const cursor = others.reduce((least, partition) => earlier(least, partition.progress), first.progress);
  const ahead = partitions.filter((partition) => distance(cursor, partition.progress) > 0);
  return {
    cursor,
    ahead: Object.fromEntries(ahead.map((partition) => [partitionName(partition), partition.progress])),
  };
}

/**
 * The topology that a consumer is on. Its members learn it when they join: who moves a consumer to another puts them out. What
 * was handled before the move is told by where the partitions stood that were left, which stay as they are: an event is
 * handled when its place on either topology has passed it. So a consumer moves at any moment, and back as easily.
 */
export interface Seat {
  readonly topology: string;
  /** The topology that it was on before; undefined when it never moved, or that is long past. */
  readonly left?: Left;
}

export interface Left {
  readonly topology: string;
  /** By partition name. */
  readonly standings: Readonly<Record<string, LogPosition>>;
}

/** What a consumer shares among its members. */
export interface Share {
  /** The topology of a consumer that is new, where the store knows none yet. */
  readonly home: string;
  /** Its partitions on a topology. */
  on(topology: string): readonly PartitionRef[];
}

/** The port of group membership: shared rows that say who handles what. PostgreSQL, or memory in simulations. */
export interface GroupStore {
  /** Enters as a member without partitions; makes the partitions that are new, standing at the log's start. */
  join(consumer: string, member: string, partitions: readonly PartitionRef[]): Promise<void>;
  /** The same of a consumer of topics: which partitions it has is a matter of the topology that it is on at this moment. */
  enter(consumer: string, member: string, share: Share): Promise<Seat>;
  /**
   * Says "alive", puts out the members that did not for `leaseMs` (their partitions go free where they stood), and looks.
   * A heartbeat of the future, left from before the clock was set back, counts as one of this moment: else whoever died
   * then would keep its partitions until the clock has caught up.
   */
  heartbeat(consumer: string, member: string, leaseMs: number): Promise<GroupView>;
  /**
   * Gives partitions back where they stand by the progress saved last (see `Commit.progress`), and takes those that are
   * free. With neither, it tells what the member owns by the store.
   * @returns what the member owns now, and its progress, which is saved
   * @throws MembershipLostError when this member was put out
   */
  exchange(
    consumer: string,
    member: string,
    release: readonly PartitionRef[],
    acquire: readonly PartitionRef[],
  ): Promise<Ownership>;
  /** Leaves; the partitions must have been given back. */
  leave(consumer: string, member: string): Promise<void>;
}

/**
 * Joins a group. A process that was held up may be put out before it was given anything: it joins again.
 * @param join under a name of its own each time
 * @param announce called before it joins again: others may have taken the process for dead, see `Presence.announce`
 */
export async function joinUntilMember(
  join: () => Promise<void>,
  announce: (() => Promise<void>) | undefined,
): Promise<void> {
  for (;;) {
    try {
      return await join();
    } catch (cause) {
      if (!(cause instanceof MembershipLostError)) throw cause;
      await announce?.();
    }
  }
}

/**
 * Which partitions a member ought to have: partition i of every topic belongs to the i-th member in order, round and
 * round, so that the partitions of one number, which hold the same keys, come together.
 */
export function assignment(view: GroupView, member: string): readonly PartitionRef[] {
  const index = view.members.indexOf(member);
  if (index < 0) return [];
  return view.partitions.filter((ref) => ref.partition % view.members.length === index);
}
