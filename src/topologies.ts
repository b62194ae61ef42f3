import type { Topology } from '#kernel/bus/topology.ts';
import { ConfigError } from '#src/config.ts';
import { byFlow } from './topologies/by-flow.ts';
import { byService } from './topologies/by-service.ts';
import { byType } from './topologies/by-type.ts';
import { granular } from './topologies/granular.ts';
import { single } from './topologies/single.ts';

/** Every topology that CAUDAL_TOPOLOGY can name. */
export const TOPOLOGIES: readonly Topology[] = [byType, single, byFlow, byService, granular];

const STANDARD = byType;

/** The topology that the settings name, else the standard one. @throws ConfigError when there is none of that name */
export function topologyOf({ topology = STANDARD.name }: { readonly topology?: string | undefined }): Topology {
  const found = TOPOLOGIES.find(({ name }) => name === topology);
  if (found !== undefined) return found;
  throw new ConfigError(`CAUDAL_TOPOLOGY=${topology}: known are ${TOPOLOGIES.map(({ name }) => name).join(', ')}`);
}
