import { ConflictError } from '../../core/errors.ts';
import type { RecordedEvent } from '../../core/event.ts';
import { earlier, LOG_START, type LogPosition, later, positionIn } from '../../core/log-position.ts';
import { encodeArray } from '../../postgres/arrays.ts';
import type { Pool } from '../../postgres/pool.ts';
import type { Sql } from '../../postgres/sql.ts';
import { LOG_TOPIC } from '../consumer.ts';
import { type PartitionRef, partitionName, type StandingPartition } from '../group.ts';
import { placeOf, type Topology } from '../topology.ts';
import { readSeat, refArrays } from './group-store.ts';
import { holdPositions, putOutMembers, readPartitions, standingAmong } from './positions.ts';

/** A consumer on its way from one topology to another. */
export interface Move {
  readonly consumer: string;
  readonly from: Topology;
  readonly to: Topology;
  /** The consumer's partitions on a topology. */
  on(topology: Topology): readonly PartitionRef[];
}

/**
 * Where a consumer goes on in the partitions that it comes to: nothing that it has not handled may be before that.
 * @param leaving the partitions that it leaves, where they stand
 * @returns by partition; what stood further already stays there
 */
export type Entry = (
  sql: Sql,
  move: Move,
  leaving: readonly StandingPartition[],
) => Promise<(ref: PartitionRef, stood: LogPosition) => LogPosition>;

const PAGE = 500;

/**
 * Moves a consumer, in one transaction: its members are put out, what they have in hand is refused, and they join anew on
 * the other topology. Where it stood on the one that it leaves is kept: see `Left`.
 * @throws ConflictError when the consumer is on neither topology
 */
export function moveConsumer(pool: Pool, move: Move, entry: Entry): Promise<void> {
  const { consumer, from, to } = move;
  return pool.transaction(async (sql) => {
    await sql.query('SELECT 1 FROM bus_seats WHERE consumer = $1 FOR UPDATE', [consumer]);
    const seat = await readSeat(sql, consumer);
    if (seat?.topology === to.name) return;
    if (seat?.topology !== from.name)
      throw new ConflictError(`${consumer} is on ${seat?.topology ?? 'no topology'}, not on ${from.name}`);
    await holdPositions(sql, consumer);
    const all = await readPartitions(sql, consumer);
    await putOutMembers(sql, consumer, all);
    const left = namesOf(move.on(from));
    const entered = namesOf(move.on(to));
    const leaving = all.filter((partition) => left.has(partitionName(partition)));
    await forget(
      sql,
      consumer,
      all.filter((ref) => ref.topic !== LOG_TOPIC && !left.has(partitionName(ref)) && !entered.has(partitionName(ref))),
    );
    const goOn = await entry(sql, move, leaving);
    const stood = new Map(all.map((partition) => [partitionName(partition), partition.progress]));
    // What both topologies have stays where it is.
    const entering = move.on(to).filter((ref) => !left.has(partitionName(ref)));
    await place(
      sql,
      consumer,
      entering.map((ref) => ({ ...ref, progress: goOn(ref, stood.get(partitionName(ref)) ?? LOG_START) })),
    );
    await replaceFailures(sql, consumer, to);
    await sql.query('UPDATE bus_seats SET topology = $2, left_topology = $3, moved_at = now() WHERE consumer = $1', [
      consumer,
      to.name,
      from.name,
    ]);
  });
}

/** On the log: everything up to the partition that is furthest behind was handled, whatever the topology. */
export const logEntry: Entry = async (_sql, _move, leaving) => {
  const [first, ...others] = leaving.map(({ progress }) => progress);
  const handled = first === undefined ? LOG_START : others.reduce(earlier, first);
  return (_ref, stood) => later(stood, handled);
};

/** Whether all of the consumer's partitions have passed a position of the log. */
export async function hasPassed(sql: Sql, { consumer, from, on }: Move, position: LogPosition): Promise<boolean> {
  const partitions = await standingAmong(sql, consumer, on(from));
  return partitions.every(({ progress }) =>
    Object.keys(position).every((chain) => positionIn(progress, chain) >= position[chain]!),
  );
}

function namesOf(refs: readonly PartitionRef[]): ReadonlySet<string> {
  return new Set(refs.map(partitionName));
}

async function forget(sql: Sql, consumer: string, refs: readonly PartitionRef[]): Promise<void> {
  await sql.query(
    `DELETE FROM bus_partitions p USING unnest($2::text[], $3::int[]) AS a(topic, partition)
      WHERE p.consumer = $1 AND p.topic = a.topic AND p.partition = a.partition`,
    [consumer, ...refArrays(refs)],
  );
}

async function place(sql: Sql, consumer: string, partitions: readonly StandingPartition[]): Promise<void> {
  const progress = encodeArray(
    'jsonb',
    partitions.map((partition) => partition.progress),
  );
  await sql.query(
    `INSERT INTO bus_partitions (consumer, topic, partition, progress)
      SELECT $1, * FROM unnest($2::text[], $3::int[], $4::jsonb[])
      ON CONFLICT (consumer, topic, partition) DO UPDATE SET progress = excluded.progress`,
    [consumer, ...refArrays(partitions), progress],
  );
}

/** Messages that wait for another attempt, or for an operator, wait where their keys now are. */
async function replaceFailures(sql: Sql, consumer: string, to: Topology): Promise<void> {
  for (let after = 0; ; ) {
    const rows = await sql.query<{ arrival: number; event: RecordedEvent }>(
      `SELECT arrival, event FROM error_log WHERE consumer = $1 AND status IN ('retrying', 'open') AND arrival > $2
        ORDER BY arrival LIMIT $3`,
      [consumer, after, PAGE],
    );
    for (const { arrival, event } of rows) {
      const found = placeOf(to, event);
      if (found === undefined) continue;
      await sql.query('UPDATE error_log SET original_topic = $2, partition = $3, key = $4 WHERE arrival = $1', [
        arrival,
        found.topic,
        found.partition,
        found.key,
      ]);
    }
    if (rows.length < PAGE) return;
    after = rows.at(-1)!.arrival;
  }
}
