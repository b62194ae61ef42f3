import type { Topology } from '#kernel/bus/topology.ts';
import { type Config, ConfigError } from '#src/config.ts';
import { byFlow } from './topologies/by-flow.ts';
import { byService } from './topologies/by-service.ts';
import { byType } from './topologies/by-type.ts';
import { granular } from './topologies/granular.ts';
import { single } from './topologies/single.ts';

/** Every topology that CAUDAL_TOPOLOGY can name. */
export const TOPOLOGIES: readonly Topology[] = [byType, single, byFlow, byService, granular];

/** The topology that the settings name. @throws ConfigError when there is none of that name */
export function topologyOf({ topology }: Pick<Config, 'topology'>): Topology {
  const found = TOPOLOGIES.find(({ name }) => name === topology);
  if (found !== undefined) return found;
  throw new ConfigError(`CAUDAL_TOPOLOGY=${topology}: known are ${TOPOLOGIES.map(({ name }) => name).join(', ')}`);
}
