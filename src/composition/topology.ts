import { beginOn, readTopologies } from '#kernel/bus/postgres/topologies.ts';
import { type Lane, lanesOf, type Topology } from '#kernel/bus/topology.ts';
import type { Log } from '#kernel/observability/log.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import { type Config, ConfigError } from '#src/config.ts';
import { TOPOLOGIES, topologyOf } from '#src/topologies.ts';

/** Every topology, the store's current one first. */
export type Topologies = readonly [Topology, ...Topology[]];

/**
 * The topologies of a store. A new one begins on the topology of the settings; after that the store itself knows, since
 * consumers that came to topics which are new to them would do everything once more.
 * @throws ConfigError when the settings name a topology that the store is not on and was never on
 */
export async function settleTopology(sql: Sql, config: Config, log: Log): Promise<Topologies> {
  const chosen = topologyOf(config);
  if ((await readTopologies(sql)).length === 0) await beginOn(sql, (await standsOn(sql))?.name ?? chosen.name);
  const known = await readTopologies(sql);
  const current = topologyOf({ topology: known[0]!.topology });
  if (config.topology !== undefined) checkChoice(chosen, current, known, log);
  return topologiesFrom(current);
}

/** Every topology, this one first. */
export function topologiesFrom(current: Topology): Topologies {
  return [current, ...TOPOLOGIES.filter((topology) => topology !== current)];
}

type Known = Awaited<ReturnType<typeof readTopologies>>;

function checkChoice(chosen: Topology, current: Topology, known: Known, log: Log): void {
  const found = known.find(({ topology }) => topology === chosen.name);
  if (found === undefined)
    throw new ConfigError(
      `CAUDAL_TOPOLOGY=${chosen.name}: this database is on ${current.name}; to move it: caudal topology migrate ${chosen.name}`,
    );
  if (found.role === 'retired')
    log.warn(
      { setting: chosen.name, topology: current.name },
      'CAUDAL_TOPOLOGY names a topology that was left: the database says which is in force; change the setting',
    );
}

/** The lanes of a store's history: of every topology that it has been on. */
export async function readLanes(sql: Sql): Promise<Lane> {
  const known = await readTopologies(sql);
  return lanesOf(known.map((row) => topologyOf(row)));
}

/** The topology of a database from before it noted that: its consumers have partitions there. */
async function standsOn(sql: Sql): Promise<Topology | undefined> {
  const rows = await sql.query<{ topic: string }>('SELECT DISTINCT topic FROM bus_partitions');
  const has = ({ topics }: Topology, topic: string): boolean => topics.some(({ name }) => name === topic);
  const special = rows.map(({ topic }) => topic).filter((topic) => !TOPOLOGIES.every((one) => has(one, topic)));
  return TOPOLOGIES.find((topology) => special.some((topic) => has(topology, topic)));
}
