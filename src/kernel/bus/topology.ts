import { crc32 } from 'node:zlib';
import type { RecordedEvent } from '../core/event.ts';

export interface Topic {
  readonly name: string;
  readonly partitions: number;
}

/** Where the events of one type go. */
export interface Route {
  readonly topic: string;
  /** What orders them: events of one key keep their order. */
  key(event: RecordedEvent): string;
}

/** A named mapping of event types to topics, partitions and keys. Producers, consumers and tools all read it. */
export interface Topology {
  readonly name: string;
  readonly topics: readonly Topic[];
  /** By event type. */
  readonly routes: ReadonlyMap<string, Route>;
}

/** Where one event stands on the bus. */
export interface Place {
  readonly topic: string;
  readonly partition: number;
  readonly key: string;
}

/** The place of an event, or undefined when its type is on no topic. */
export function placeOf(topology: Topology, event: RecordedEvent): Place | undefined {
  const route = topology.routes.get(event.type);
  if (route === undefined) return undefined;
  const key = keyOf(route, event);
  return { topic: route.topic, partition: partitionOf(topology, route.topic, key), key };
}

/** A malformed event may lack its key; its stream then stands for it, so that it still has one place. */
function keyOf(route: Route, event: RecordedEvent): string {
  try {
    const key: unknown = route.key(event);
    return typeof key === 'string' ? key : event.aggregateId;
  } catch {
    return event.aggregateId;
  }
}

/** The partition of a key: CRC-32 of its UTF-8 bytes, modulo the topic's partitions. */
export function partitionOf(topology: Topology, topic: string, key: string): number {
  const found = topology.topics.find((candidate) => candidate.name === topic);
  if (found === undefined) throw new Error(`topology ${topology.name} has no topic ${topic}`);
  return crc32(key) % found.partitions;
}

/** The topics that carry any of the event types. */
export function topicsOf(topology: Topology, types: readonly string[]): readonly Topic[] {
  const names = new Set(types.map((type) => topology.routes.get(type)?.topic));
  return topology.topics.filter((topic) => names.has(topic.name));
}

/** The consumer group of a service on a topic: `fraud-service-payments-created-consumer`. */
export function groupName(service: string, topic: string): string {
  return `${service}-service-${topic.replaceAll('.', '-')}-consumer`;
}
