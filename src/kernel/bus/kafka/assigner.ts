import { createHash } from 'node:crypto';

/**
 * Which member has which partition: the same for every topic with as many partitions, since the partitions of one number
 * hold the same keys, and states in memory are worth most where all of a key's events are handled. Every member has as many as
 * any other, or one less. When a member comes or goes, few others change theirs: each partition prefers members in an order
 * of its own (rendezvous hashing, Thaler and Ravishankar 1998) and takes the first that still has room.
 * @param members names; the order makes no difference
 * @returns for each partition number, the index of its member in `members`
 */
export function assign(members: readonly string[], partitions: number): readonly number[] {
  const sorted = members.map((name, index) => ({ name, index })).sort((a, b) => (a.name < b.name ? -1 : 1));
  const room = sorted.map(
    (_, rank) => Math.floor(partitions / members.length) + (rank < partitions % members.length ? 1 : 0),
  );
  return Array.from({ length: partitions }, (_, partition) => {
    let best = -1;
    let bestWeight = '';
    for (const [rank, { name }] of sorted.entries()) {
      if (room[rank] === 0) continue;
      const weight = weightOf(name, partition);
      if (weight > bestWeight) {
        best = rank;
        bestWeight = weight;
      }
    }
    room[best]! -= 1;
    return sorted[best]!.index;
  });
}

function weightOf(member: string, partition: number): string {
  return createHash('sha256').update(`${member}\n${partition}`).digest('hex');
}
