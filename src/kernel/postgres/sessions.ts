import type { Sql } from './sql.ts';

/** The purpose of sessions that only read. */
export const READS = 'pool';
const LONGEST_NAME = 63;

/** What a session of a process is called in pg_stat_activity. @param purpose and @param instance without spaces */
export function sessionName(purpose: string, instance: string): string {
  return `caudal ${purpose} ${instance}`.slice(0, LONGEST_NAME);
}

/**
 * Whether the database has sessions of other processes than this one that may write. A process that says nothing, since it is
 * frozen, keeps its sessions: when it wakes, it writes whatever it was about to.
 */
export async function othersMayWrite(sql: Sql, instance: string): Promise<boolean> {
  const rows = await sql.query(
    `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'caudal % %'
      AND split_part(application_name, ' ', 2) <> $1 AND split_part(application_name, ' ', 3) <> $2 LIMIT 1`,
    [READS, instance],
  );
  return rows.length > 0;
}
