import type { Sql } from '../../postgres/sql.ts';

/** How many partitions of a consumer one process has. */
export interface PartitionShare {
  readonly consumer: string;
  /** The process, as its `instance`; null: they have no owner now. */
  readonly instance: string | null;
  readonly partitions: number;
}

/** Who has the partitions of each consumer, as the store has it. A process that has joined anew is the same process. */
export function partitionShares(sql: Sql): Promise<readonly PartitionShare[]> {
  return sql.query<PartitionShare>(
    `SELECT consumer, split_part(owner, '.', 1) AS instance, count(*) AS partitions FROM bus_partitions
      GROUP BY 1, 2 ORDER BY 1, 2`,
  );
}
