import type { Sql } from '../../postgres/sql.ts';

/** A month of the event store. */
export interface EventPartition {
  readonly name: string;
  /** `2026-11`, UTC. */
  readonly month: string;
  /** A closed month takes no more events. */
  readonly closed: boolean;
  /** As of the last statistics: about right. */
  readonly rows: number;
  /** With its indexes. */
  readonly bytes: number;
}

/** Every partition of the event store, the oldest first. */
export function listPartitions(sql: Sql): Promise<readonly EventPartition[]> {
  return sql.query<EventPartition>(
    `SELECT c.relname AS name, to_char(d.day, 'YYYY-MM') AS month, m.closed,
        greatest(c.reltuples::bigint, pg_stat_get_live_tuples(c.oid), 0) AS rows, pg_total_relation_size(c.oid) AS bytes
      FROM event_months m CROSS JOIN LATERAL make_date(m.month / 12, m.month % 12 + 1, 1) AS d(day)
      JOIN pg_inherits i ON i.inhparent = 'events'::regclass
      JOIN pg_class c ON c.oid = i.inhrelid AND c.relname = 'events_' || to_char(d.day, 'YYYY_MM')
      ORDER BY m.month`,
  );
}
