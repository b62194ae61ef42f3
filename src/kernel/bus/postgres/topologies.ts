import type { LogPosition } from '../../core/log-position.ts';
import type { Sql } from '../../postgres/sql.ts';

/** A topology that a store is on, was on, or is to come to. */
export interface StoreTopology {
  readonly topology: string;
  /** `current` and `target` get every event; consumers are on either of them. */
  readonly role: 'current' | 'target' | 'retired';
  /** Later events are on its topics. */
  readonly since: LogPosition;
  /** Milliseconds since 1970. */
  readonly since_at: number;
}

/** Every topology that the store has ever been on, the present ones first. */
export function readTopologies(sql: Sql): Promise<readonly StoreTopology[]> {
  return sql.query<StoreTopology>(
    `SELECT topology, role, since, since_at FROM bus_topologies
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
