import type { RecordedEvent } from '../core/event.ts';
import { positionIn } from '../core/log-position.ts';
import { partitionName, type Seat } from './group.ts';
import { placeOf, type Topology } from './topology.ts';

/** @throws Error when the topology is none of those */
export function topologyNamed(topologies: readonly Topology[], name: string): Topology {
  const found = topologies.find((topology) => topology.name === name);
  if (found === undefined)
    throw new Error(`the consumer is on the topology ${name}, which this program does not know: it may be too old`);
  return found;
}

/**
 * Says of an event whether it was handled before the consumer came to its topology.
 * @param topologies those that there are
 * @returns a test; `chain` is the event's, as standings name it
 */
export function handledBefore(
  { topology, left }: Seat,
  topologies: readonly Topology[],
): (event: RecordedEvent, chain: number | string) => boolean {
  if (left === undefined) return () => false;
  const from = topologyNamed(topologies, left.topology);
  const to = topologyNamed(topologies, topology);
  return (event, chain) => {
    const name = nameOf(from, event);
    const stood = name === undefined || name === nameOf(to, event) ? undefined : left.standings[name];
    return stood !== undefined && event.chainPosition <= positionIn(stood, chain);
  };
}

function nameOf(topology: Topology, event: RecordedEvent): string | undefined {
  const place = placeOf(topology, event);
  return place && partitionName(place);
}
