import { crc32 } from 'node:zlib';
import type { RecordedEvent } from '../core/event.ts';

export interface Topic {
  readonly name: string;
  readonly partitions: number;
}

/** What orders events: those of one key keep their order. */
export interface Key {
  /** For people: the field of the payload that it is. */
  readonly name: string;
  of(event: RecordedEvent): string;
}

/** One way that events of a type can go. */
export interface Route {
  readonly topic: string;
  readonly key: Key;
  /** The partitions of the topic that it uses; all when absent. */
  readonly partitions?: 'even' | 'odd';
  /** Further topics that get each event too, under the same key. Services consume from `topic` alone. */
  readonly copies?: readonly string[];
  /** Whether an event goes this way; where a type has one way only, nobody asks. */
  takes?(event: RecordedEvent): boolean;
}

/** A named mapping of event types to topics, partitions and keys. Producers, consumers and tools all read it. */
export interface Topology {
  readonly name: string;
  readonly topics: readonly Topic[];
  /** By event type, at least one each: an event goes the first way that takes it, else the last. */
  readonly routes: ReadonlyMap<string, readonly Route[]>;
  /** The one topic of all dead letters; when absent, each service's own. */
  readonly deadLetters?: string;
}

/** Where one event stands on the bus. */
export interface Place {
  readonly topic: string;
  readonly partition: number;
  readonly key: string;
}

/** The place of an event, or undefined when its type is on no topic. */
export function placeOf(topology: Topology, event: RecordedEvent): Place | undefined {
  const route = routeOf(topology, event);
  return route && placeOn(topology, route.topic, route, event);
}

/** Everywhere that a producer writes the event: its place, then those of its copies; none when its type is on no topic. */
export function placesOf(topology: Topology, event: RecordedEvent): readonly Place[] {
  const route = routeOf(topology, event);
  if (route === undefined) return [];
  return [route.topic, ...(route.copies ?? [])].map((topic) => placeOn(topology, topic, route, event));
}

/** What orders an event among others, its key and its topic; undefined for one that is on no topic. */
export type Lane = (event: RecordedEvent) => string | undefined;

/** The lanes of all of the topologies together: two events have the same when they share topic and key on each. */
export function lanesOf(topologies: readonly Topology[]): Lane {
  return (event) => {
    const places = topologies.flatMap((topology) => placeOf(topology, event) ?? []);
    return places.length === 0 ? undefined : places.map(({ topic, key }) => `${topic} ${key}`).join(' ');
  };
}

/** The topics that services consume any of the event types from. */
export function topicsOf(topology: Topology, types: readonly string[]): readonly Topic[] {
  const names = new Set(types.flatMap((type) => topology.routes.get(type) ?? []).map((route) => route.topic));
  return topology.topics.filter((topic) => names.has(topic.name));
}

/** The topics on which each event is once, at its place. */
export function placeTopics(topology: Topology): ReadonlySet<string> {
  return new Set([...topology.routes.values()].flat().map(({ topic }) => topic));
}

/** All topics that events are written to, copies too: not those of dead letters. */
export function eventTopics(topology: Topology): ReadonlySet<string> {
  const routes = [...topology.routes.values()].flat();
  return new Set(routes.flatMap(({ topic, copies = [] }) => [topic, ...copies]));
}

/** The topic of dead letters. @param named the one that the service names */
export function deadLetterTopic(topology: Topology, named: string): string {
  return topology.deadLetters ?? named;
}

/** Where a dead letter goes: by the key of the message, so that those of one key keep their order. */
export function deadLetterPlace(topology: Topology, topic: string, key: string): Place {
  const { partitions } = topicOf(topology, topic);
  return { topic, partition: partitionOf(key, partitions, undefined), key };
}

/** The consumer group of a service on a topic: `fraud-service-payments-created-consumer`. */
export function groupName(service: string, topic: string): string {
  return `${service}-service-${topic.replaceAll('.', '-')}-consumer`;
}

function routeOf(topology: Topology, event: RecordedEvent): Route | undefined {
  const routes = topology.routes.get(event.type);
  if (routes === undefined || routes.length === 1) return routes?.[0];
  return routes.find((route) => readOf(() => route.takes?.(event)) === true) ?? routes.at(-1);
}

function placeOn(topology: Topology, topic: string, route: Route, event: RecordedEvent): Place {
  const { partitions } = topicOf(topology, topic);
  const key = keyOf(route, event);
  return { topic, partition: partitionOf(key, partitions, route.partitions), key };
}

function topicOf(topology: Topology, name: string): Topic {
  const found = topology.topics.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`topology ${topology.name} has no topic ${name}`);
  return found;
}

/** A malformed event may lack its key; its stream then stands for it, so that it still has one place. */
function keyOf(route: Route, event: RecordedEvent): string {
  const key: unknown = readOf(() => route.key.of(event));
  return typeof key === 'string' ? key : event.aggregateId;
}

/** What is read from a payload that may be malformed; undefined when that fails. */
function readOf<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** CRC-32 of the key's UTF-8 bytes, modulo the partitions that may be used. */
function partitionOf(key: string, partitions: number, which: Route['partitions']): number {
  if (which === undefined) return crc32(key) % partitions;
  if (which === 'even') return 2 * (crc32(key) % Math.ceil(partitions / 2));
  return 2 * (crc32(key) % Math.floor(partitions / 2)) + 1;
}
