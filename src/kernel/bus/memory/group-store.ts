import type { Clock } from '../../core/clock.ts';
import { ConflictError, DataError, MembershipLostError } from '../../core/errors.ts';
import { LOG_START } from '../../core/log-position.ts';
import {
  innerMap,
  type MemoryMember,
  type MemoryPartition,
  type MemoryTables,
} from '../../event-store/memory/tables.ts';
import {
  type GroupStore,
  type Left,
  type MemberProgress,
  type PartitionRef,
  partitionName,
  progressOf,
  standing,
} from '../group.ts';

/** Group membership in memory, for tests and simulations. */
export function createMemoryGroupStore(tables: MemoryTables, clock: Clock): GroupStore {
  const membersOf = (consumer: string) => innerMap(tables.members, consumer);
  const partitionsOf = (consumer: string) => innerMap(tables.partitions, consumer);
  const ownedBy = (consumer: string, member: string): readonly MemoryPartition[] =>
    [...partitionsOf(consumer).values()].filter((partition) => partition.owner === member);

  const requireMember = (consumer: string, member: string): MemoryMember => {
    const found = membersOf(consumer).get(member);
    if (found === undefined) throw new MembershipLostError(`${member} is no longer a member of consumer ${consumer}`);
    return found;
  };

  const give = (partitions: readonly MemoryPartition[], progress: MemberProgress): void => {
    for (const partition of partitions) {
      partition.progress = standing(progress, partition);
      partition.owner = undefined;
    }
  };

  const pullBack = (consumer: string, leaseMs: number): void => {
    for (const found of membersOf(consumer).values())
      if (found.heartbeatAt > clock.now() + leaseMs) found.heartbeatAt = clock.now();
  };

  const putOutTheDead = (consumer: string, leaseMs: number): readonly string[] => {
    const dead = [...membersOf(consumer)].filter(([, { heartbeatAt }]) => heartbeatAt < clock.now() - leaseMs);
    for (const [member, { progress }] of dead) {
      give(ownedBy(consumer, member), JSON.parse(progress));
      membersOf(consumer).delete(member);
    }
    return dead.map(([member]) => member);
  };

  const join = (consumer: string, member: string, partitions: readonly PartitionRef[]): void => {
    if (membersOf(consumer).has(member)) throw new ConflictError(`${member} is a member already`);
    for (const ref of partitions) {
      const name = partitionName(ref);
      const known = partitionsOf(consumer);
      if (!known.has(name)) known.set(name, { ...ref, owner: undefined, progress: LOG_START });
    }
    const progress: MemberProgress = { cursor: LOG_START, ahead: {} };
    membersOf(consumer).set(member, { progress: JSON.stringify(progress), heartbeatAt: clock.now() });
  };

  const leftBehind = (consumer: string, topology: string, partitions: readonly PartitionRef[]): Left => {
    const names = new Set(partitions.map(partitionName));
    const rows = [...partitionsOf(consumer)].filter(([name]) => names.has(name));
    return { topology, standings: Object.fromEntries(rows.map(([name, { progress }]) => [name, progress])) };
  };

  return {
    join: async (...args) => join(...args),
    enter: async (consumer, member, share) => {
      const { topology, left } = tables.seats.get(consumer) ?? { topology: share.home, left: undefined };
      tables.seats.set(consumer, { topology, left });
      join(consumer, member, share.on(topology));
      return left === undefined ? { topology } : { topology, left: leftBehind(consumer, left, share.on(left)) };
    },
    heartbeat: async (consumer, member, leaseMs) => {
      const own = membersOf(consumer).get(member);
      if (own !== undefined) own.heartbeatAt = clock.now();
      pullBack(consumer, leaseMs);
      const putOut = putOutTheDead(consumer, leaseMs);
      return {
        members: [...membersOf(consumer).keys()].sort(),
        putOut,
        partitions: [...partitionsOf(consumer).values()]
          .map(({ topic, partition, owner }) => ({ topic, partition, owner }))
          .sort(byPlace),
      };
    },
    exchange: async (consumer, member, release, acquire) => {
      const own = requireMember(consumer, member);
      const progress: MemberProgress = JSON.parse(own.progress);
      const released = new Set(release.map(partitionName));
      const before = ownedBy(consumer, member);
      const kept = before.filter((partition) => !released.has(partitionName(partition)));
      give(
        before.filter((partition) => released.has(partitionName(partition))),
        progress,
      );
      const taken = acquire
        .map((ref) => partitionsOf(consumer).get(partitionName(ref)))
        .filter((partition) => partition !== undefined && partition.owner === undefined) as MemoryPartition[];
      for (const partition of taken) partition.owner = member;
      const next = progressOf([
        ...kept.map((partition) => ({ ...refOf(partition), progress: standing(progress, partition) })),
        ...taken.map((partition) => ({ ...refOf(partition), progress: partition.progress })),
      ]);
      own.progress = JSON.stringify(next);
      return { owned: [...kept, ...taken].map(refOf), progress: next };
    },
    leave: async (consumer, member) => {
      if (ownedBy(consumer, member).length > 0) throw new DataError(`${member} still has partitions`);
      membersOf(consumer).delete(member);
    },
  };
}

function refOf({ topic, partition }: MemoryPartition): PartitionRef {
  return { topic, partition };
}

function byPlace(a: PartitionRef, b: PartitionRef): number {
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1;
  return a.partition - b.partition;
}
