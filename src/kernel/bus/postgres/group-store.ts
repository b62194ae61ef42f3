import { MembershipLostError } from '../../core/errors.ts';
import { encodeArray } from '../../postgres/arrays.ts';
import type { Pool } from '../../postgres/pool.ts';
import type { Sql } from '../../postgres/sql.ts';
import {
  type GroupStore,
  type GroupView,
  type Left,
  type MemberProgress,
  type OwnedPartition,
  type Ownership,
  type PartitionRef,
  partitionName,
  progressOf,
  type Seat,
  type Share,
  type StandingPartition,
  standing,
} from '../group.ts';

/** Group membership in the tables `bus_members` and `bus_partitions`. */
export function createPostgresGroupStore(pool: Pool): GroupStore {
  return {
    join: (consumer, member, partitions) => pool.transaction((sql) => join(sql, consumer, member, partitions)),
    enter: (consumer, member, share) => pool.transaction((sql) => enter(sql, consumer, member, share)),
    heartbeat: async (consumer, member, leaseMs) => {
      const seen = await beat(pool, consumer, member, leaseMs);
      if (seen.silent === 0) return { ...seen.view, putOut: [] };
      const putOut = await pool.transaction((sql) => putOutTheDead(sql, consumer, leaseMs));
      const { view } = await beat(pool, consumer, member, leaseMs);
      return { ...view, putOut };
    },
    exchange: (consumer, member, release, acquire) =>
      pool.transaction((sql) => exchange(sql, consumer, member, release, acquire)),
    leave: async (consumer, member) => {
      await pool.query('DELETE FROM bus_members WHERE consumer = $1 AND member = $2', [consumer, member]);
    },
  };
}

async function join(sql: Sql, consumer: string, member: string, partitions: readonly PartitionRef[]): Promise<void> {
  await sql.query(
    `INSERT INTO bus_partitions (consumer, topic, partition) SELECT $1, * FROM unnest($2::text[], $3::int[]) ON CONFLICT DO NOTHING`,
    [consumer, ...refArrays(partitions)],
  );
  await sql.query(
    `INSERT INTO bus_members (consumer, member, progress, heartbeat_at) VALUES ($1, $2, '{"cursor": {}, "ahead": {}}', now())`,
    [consumer, member],
  );
}

/** The row of its seat is locked: a move comes before all of this, or after it, and then puts this member out. */
async function enter(sql: Sql, consumer: string, member: string, share: Share): Promise<Seat> {
  await sql.query(
    `INSERT INTO bus_seats (consumer, topology)
      SELECT $1, coalesce((SELECT topology FROM bus_topologies WHERE role = 'current'), $2) ON CONFLICT DO NOTHING`,
    [consumer, share.home],
  );
  await sql.query('SELECT 1 FROM bus_seats WHERE consumer = $1 FOR SHARE', [consumer]);
  const { topology, left_topology: left } = (await readSeat(sql, consumer))!;
  await join(sql, consumer, member, share.on(topology));
  return left === null ? { topology } : { topology, left: await leftBehind(sql, consumer, left, share.on(left)) };
}

export interface SeatRow {
  readonly topology: string;
  readonly left_topology: string | null;
}

/** Which topology a consumer is on, and which it was on before; undefined when it never joined. */
export async function readSeat(sql: Sql, consumer: string): Promise<SeatRow | undefined> {
  const rows = await sql.query<SeatRow>('SELECT topology, left_topology FROM bus_seats WHERE consumer = $1', [
    consumer,
  ]);
  return rows[0];
}

/** Where the partitions of a topology that the consumer has left stand. */
async function leftBehind(
  sql: Sql,
  consumer: string,
  topology: string,
  partitions: readonly PartitionRef[],
): Promise<Left> {
  const rows = await sql.query<StandingPartition>(
    `SELECT p.topic, p.partition, p.progress FROM bus_partitions p
      JOIN unnest($2::text[], $3::int[]) AS a(topic, partition) USING (topic, partition) WHERE p.consumer = $1`,
    [consumer, ...refArrays(partitions)],
  );
  return { topology, standings: Object.fromEntries(rows.map((row) => [partitionName(row), row.progress])) };
}

/** Says "alive" and looks, in one round trip: in a cluster this is what happens most often while nothing else does. */
async function beat(
  sql: Sql,
  consumer: string,
  member: string,
  leaseMs: number,
): Promise<{ readonly view: Omit<GroupView, 'putOut'>; readonly silent: number }> {
  const [row] = await sql.query<{
    members: readonly string[] | null;
    silent: number;
    partitions: readonly (readonly [topic: string, partition: number, owner: string | null])[] | null;
  }>(
    `WITH beat AS (
        UPDATE bus_members SET heartbeat_at = now()
         WHERE consumer = $1 AND (member = $2 OR heartbeat_at > now() + $3 * interval '1 millisecond')
        RETURNING member, heartbeat_at)
      SELECT
        (SELECT jsonb_agg(member ORDER BY member) FROM bus_members WHERE consumer = $1) AS members,
        (SELECT count(*)::int FROM bus_members m LEFT JOIN beat b USING (member) WHERE m.consumer = $1
          AND coalesce(b.heartbeat_at, m.heartbeat_at) < now() - $3 * interval '1 millisecond') AS silent,
        (SELECT jsonb_agg(jsonb_build_array(topic, partition, owner) ORDER BY topic, partition) FROM bus_partitions
          WHERE consumer = $1) AS partitions`,
    [consumer, member, leaseMs],
  );
  const { members, silent, partitions } = row!;
  const owned = (partitions ?? []).map(
    ([topic, partition, owner]): OwnedPartition => ({ topic, partition, owner: owner ?? undefined }),
  );
  return { view: { members: members ?? [], partitions: owned }, silent };
}

/** Locking a member's row waits for a commit of its that is under way, and refuses those after. */
async function putOutTheDead(sql: Sql, consumer: string, leaseMs: number): Promise<readonly string[]> {
  const dead = await sql.query<{ member: string; progress: MemberProgress }>(
    `SELECT member, progress FROM bus_members WHERE consumer = $1 AND heartbeat_at < now() - $2 * interval '1 millisecond'
      ORDER BY member FOR UPDATE SKIP LOCKED`,
    [consumer, leaseMs],
  );
  for (const { member, progress } of dead) {
    const owned = await ownedBy(sql, consumer, member);
    await giveBack(
      sql,
      consumer,
      owned.map((ref) => ({ ...ref, progress: standing(progress, ref) })),
    );
    await sql.query('DELETE FROM bus_members WHERE consumer = $1 AND member = $2', [consumer, member]);
  }
  return dead.map(({ member }) => member);
}

async function exchange(
  sql: Sql,
  consumer: string,
  member: string,
  release: readonly PartitionRef[],
  acquire: readonly PartitionRef[],
): Promise<Ownership> {
  await sql.query('SELECT 1 FROM bus_members WHERE consumer = $1 AND member = $2 FOR UPDATE', [consumer, member]);
  const progress = await readProgress(sql, consumer, member);
  const released = new Set(release.map(partitionName));
  const before = await ownedBy(sql, consumer, member);
  const kept = before.filter((ref) => !released.has(partitionName(ref)));
  const given = before.filter((ref) => released.has(partitionName(ref)));
  await giveBack(
    sql,
    consumer,
    given.map((ref) => ({ ...ref, progress: standing(progress, ref) })),
  );
  const taken = await sql.query<StandingPartition>(
    `UPDATE bus_partitions p SET owner = $2 FROM unnest($3::text[], $4::int[]) AS a(topic, partition)
      WHERE p.consumer = $1 AND p.topic = a.topic AND p.partition = a.partition AND p.owner IS NULL
      RETURNING p.topic, p.partition, p.progress`,
    [consumer, member, ...refArrays(acquire)],
  );
  const owned = [...kept.map((ref) => ({ ...ref, progress: standing(progress, ref) })), ...taken];
  const next = progressOf(owned);
  await sql.query('SELECT save_progress($1, $2, $3)', [consumer, member, JSON.stringify(next)]);
  return { owned, progress: next };
}

function ownedBy(sql: Sql, consumer: string, member: string): Promise<readonly PartitionRef[]> {
  return sql.query<PartitionRef>('SELECT topic, partition FROM bus_partitions WHERE consumer = $1 AND owner = $2', [
    consumer,
    member,
  ]);
}

/** Takes partitions from their owners, and notes where they stand. */
export async function giveBack(sql: Sql, consumer: string, partitions: readonly StandingPartition[]): Promise<void> {
  if (partitions.length === 0) return;
  await sql.query(
    `UPDATE bus_partitions p SET owner = NULL, progress = a.progress FROM unnest($2::text[], $3::int[], $4::jsonb[])
      AS a(topic, partition, progress) WHERE p.consumer = $1 AND p.topic = a.topic AND p.partition = a.partition`,
    [
      consumer,
      ...refArrays(partitions),
      encodeArray(
        'jsonb',
        partitions.map((partition) => partition.progress),
      ),
    ],
  );
}

async function readProgress(sql: Sql, consumer: string, member: string): Promise<MemberProgress> {
  const rows = await sql.query<{ progress: MemberProgress }>(
    'SELECT progress FROM bus_members WHERE consumer = $1 AND member = $2',
    [consumer, member],
  );
  if (rows[0] === undefined) throw new MembershipLostError(`${member} is no longer a member of consumer ${consumer}`);
  return rows[0].progress;
}

/** Whether any member of the consumer has said within the lease that it lives. */
export async function hasLiveMember(sql: Sql, consumer: string, leaseMs: number): Promise<boolean> {
  const rows = await sql.query(
    `SELECT 1 FROM bus_members WHERE consumer = $1 AND heartbeat_at >= now() - $2 * interval '1 millisecond' LIMIT 1`,
    [consumer, leaseMs],
  );
  return rows.length > 0;
}

/** Partitions as two array parameters: topics and numbers. */
export function refArrays(partitions: readonly PartitionRef[]): [Buffer, Buffer] {
  return [
    encodeArray(
      'text',
      partitions.map((ref) => ref.topic),
    ),
    encodeArray(
      'integer',
      partitions.map((ref) => ref.partition),
    ),
  ];
}
