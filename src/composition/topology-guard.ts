import type { Topology } from '#kernel/bus/topology.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import { ConfigError } from '#src/config.ts';
import { TOPOLOGIES } from '#src/topologies.ts';

/**
 * Refuses a topology when consumers of this database stand on the topics of another: on topics that are new to them they
 * would begin at the start of the log, and do everything once more.
 * @throws ConfigError that names the topology they are on
 */
export async function refuseOtherTopology(sql: Sql, topology: Topology): Promise<void> {
  const rows = await sql.query<{ topic: string }>('SELECT DISTINCT topic FROM bus_partitions');
  const foreign = rows.map(({ topic }) => topic).filter((topic) => !has(topology, topic));
  const other = TOPOLOGIES.find((candidate) => foreign.some((topic) => has(candidate, topic)));
  if (other === undefined) return;
  throw new ConfigError(
    `CAUDAL_TOPOLOGY=${topology.name}: the consumers of this database are on ${other.name}, and would handle everything once more`,
  );
}

function has({ topics }: Topology, topic: string): boolean {
  return topics.some(({ name }) => name === topic);
}
