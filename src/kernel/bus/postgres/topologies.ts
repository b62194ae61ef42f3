import { ConflictError } from '../../core/errors.ts';
import { LOG_START, type LogPosition } from '../../core/log-position.ts';
import { readHead } from '../../event-store/postgres/read.ts';
import type { Pool } from '../../postgres/pool.ts';
import type { Sql } from '../../postgres/sql.ts';
import type { Comparison } from './comparisons.ts';
import { hasLiveMember } from './group-store.ts';
import { holdPositions, putOutMembers, readPartitions } from './positions.ts';

const RELAY = 'relay';

/** A topology that a store is on, was on, or is to come to. */
export interface StoreTopology {
  readonly topology: string;
  /** `current` and `target` get every event; consumers are on either of them. */
  readonly role: 'current' | 'target' | 'retired';
  /** Later events are on its topics. */
  readonly since: LogPosition;
  /** Milliseconds since 1970. */
  readonly since_at: number;
  /** What was found when it was the target; null: nothing was compared. */
  readonly compared: Comparison | null;
}

/** Every topology that the store has ever been on, the present ones first. */
export function readTopologies(sql: Sql): Promise<readonly StoreTopology[]> {
  return sql.query<StoreTopology>(
    `SELECT topology, role, since, since_at, compared FROM bus_topologies
      ORDER BY array_position(ARRAY['current', 'target', 'retired'], role), since_at DESC`,
  );
}

/** The names of those whose topics get every event: the current one, and the one that the store is moving to. */
export async function writtenTopologies(sql: Sql): Promise<readonly string[]> {
  const rows = await readTopologies(sql);
  return rows.filter(({ role }) => role !== 'retired').map(({ topology }) => topology);
}

/** Settles what a store is on that has not been on any; of several that try, one is first. */
export async function beginOn(sql: Sql, topology: string): Promise<void> {
  await sql.query(`INSERT INTO bus_topologies (topology, role) VALUES ($1, 'current') ON CONFLICT DO NOTHING`, [
    topology,
  ]);
}

/** A consumer of topics, and the topology that it is on. */
export interface ConsumerSeat {
  readonly consumer: string;
  readonly topology: string;
  /** Milliseconds since 1970. */
  readonly moved_at: number;
}

/** Every consumer of topics that has ever run. */
export function readSeats(sql: Sql): Promise<readonly ConsumerSeat[]> {
  return sql.query<ConsumerSeat>('SELECT consumer, topology, moved_at FROM bus_seats ORDER BY consumer');
}

/**
 * Has every event from now on written to the topics of another topology too. The relay is put out: where it stood says which
 * events are the first of them.
 * @param relayed whether a relay carries the events; else the log itself is what consumers read
 * @throws ConflictError while the store is on its way to yet another
 */
export function beginTarget(pool: Pool, topology: string, relayed: boolean): Promise<void> {
  return pool.transaction(async (sql) => {
    await sql.query('LOCK TABLE bus_topologies IN EXCLUSIVE MODE');
    const known = await readTopologies(sql);
    const target = known.find(({ role }) => role === 'target');
    if (target?.topology === topology) return;
    if (target !== undefined)
      throw new ConflictError(`the store is on its way to ${target.topology}: go on with that, or back from it, first`);
    // Should the relay be on its way to where it was before topics were deleted: all of it goes to all from here on.
    await sql.query(`UPDATE bus_topics SET sent = '{}'`);
    const since = relayed ? await putOutRelay(sql) : await readHead(sql);
    await sql.query(
      `INSERT INTO bus_topologies (topology, role, since) VALUES ($1, 'target', $2)
        ON CONFLICT (topology) DO UPDATE SET role = 'target', since = excluded.since, since_at = now(),
          compared = NULL`,
      [topology, JSON.stringify(since)],
    );
  });
}

/**
 * Ends the writing to one of the two topologies: the current one when all consumers are on the target, which is the current
 * one then; or the target when all are on the current one, as if it had never begun.
 * @throws ConflictError when consumers are on the one that is to end, or there is no target
 */
export function endTopology(pool: Pool, role: 'current' | 'target'): Promise<void> {
  return pool.transaction(async (sql) => {
    await sql.query('LOCK TABLE bus_topologies IN EXCLUSIVE MODE');
    const known = await readTopologies(sql);
    const ending = known.find((row) => row.role === role)!;
    if (!known.some((row) => row.role === 'target')) throw new ConflictError('the store is on one topology only');
    await assertLeft(sql, ending.topology);
    await putOutRelay(sql);
    await sql.query(`UPDATE bus_topologies SET role = 'retired' WHERE role = $1`, [role]);
    await sql.query(`UPDATE bus_topologies SET role = 'current' WHERE role = 'target'`);
  });
}

/** @throws ConflictError when consumers are still on the topology */
export async function assertLeft(sql: Sql, topology: string): Promise<void> {
  const still = (await readSeats(sql)).filter((seat) => seat.topology === topology);
  if (still.length > 0)
    throw new ConflictError(`still on ${topology}: ${still.map(({ consumer }) => consumer).join(', ')}`);
}

/**
 * Another relay that joins asks anew which topologies there are.
 * @param goOn where it goes on, by how far this one has come
 * @returns how far the relay had come
 */
export async function putOutRelay(
  sql: Sql,
  goOn: (stood: LogPosition) => LogPosition = (stood) => stood,
): Promise<LogPosition> {
  await holdPositions(sql, RELAY);
  const partitions = await readPartitions(sql, RELAY);
  await putOutMembers(
    sql,
    RELAY,
    partitions.map((partition) => ({ ...partition, progress: goOn(partition.progress) })),
  );
  return partitions[0]?.progress ?? LOG_START;
}

/** How far the relay has come: all before that is in Kafka, and was noted. */
export async function relayPosition(sql: Sql): Promise<LogPosition> {
  const [partition] = await readPartitions(sql, RELAY);
  return partition?.progress ?? LOG_START;
}

/** Whether a process that lives has the relay, or stands by. */
export function relayRuns(sql: Sql, leaseMs: number): Promise<boolean> {
  return hasLiveMember(sql, RELAY, leaseMs);
}
