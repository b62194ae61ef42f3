import type { LogPosition } from '../../core/log-position.ts';
import type { Sql } from '../../postgres/sql.ts';
import { type MemberProgress, type PartitionRef, partitionName, type StandingPartition, standing } from '../group.ts';
import { giveBack } from './group-store.ts';

/** Every partition of a consumer, and where it stands at this moment. */
export async function readPartitions(sql: Sql, consumer: string): Promise<readonly StandingPartition[]> {
  const rows = await sql.query<{ topic: string; partition: number; own: LogPosition; member: MemberProgress | null }>(
    `SELECT p.topic, p.partition, p.progress AS own, m.progress AS member FROM bus_partitions p
      LEFT JOIN bus_members m ON m.consumer = p.consumer AND m.member = p.owner WHERE p.consumer = $1`,
    [consumer],
  );
  return rows.map(({ topic, partition, own, member }) => {
    const ref = { topic, partition };
    return { ...ref, progress: member === null ? own : standing(member, ref) };
  });
}

/** The same of some of its partitions. */
export async function standingAmong(
  sql: Sql,
  consumer: string,
  partitions: readonly PartitionRef[],
): Promise<readonly StandingPartition[]> {
  const names = new Set(partitions.map(partitionName));
  return (await readPartitions(sql, consumer)).filter((ref) => names.has(partitionName(ref)));
}

/** Keeps the positions of the consumer as they are until the transaction ends. */
export async function holdPositions(sql: Sql, consumer: string): Promise<void> {
  await sql.query('SELECT 1 FROM bus_members WHERE consumer = $1 ORDER BY member FOR UPDATE', [consumer]);
}

/**
 * Puts every member of the consumer out, its partitions staying where they stand: the members find out at their next
 * commit, forget what they hold in memory, and join anew.
 */
export async function putOutMembers(
  sql: Sql,
  consumer: string,
  partitions: readonly StandingPartition[],
): Promise<void> {
  await giveBack(sql, consumer, partitions);
  await sql.query('DELETE FROM bus_members WHERE consumer = $1', [consumer]);
}

/** The name of this store among all whose events meet on one Kafka. */
export async function readStoreId(sql: Sql): Promise<string> {
  const [row] = await sql.query<{ id: string }>('SELECT id FROM store_identity');
  if (row === undefined)
    throw new Error('the database has lost its row in store_identity: it names the store on the bus');
  return row.id;
}
