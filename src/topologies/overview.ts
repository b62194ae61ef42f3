import { groupName, type Route, type Topology } from '#kernel/bus/topology.ts';

/** A service that consumes: the event types that it reacts to, as keys. */
interface Reader {
  readonly name: string;
  readonly reactions: Readonly<Record<string, unknown>>;
}

/** A topic as people and tools see it. */
export interface TopicOverview {
  readonly topic: string;
  readonly partitions: number;
  /** Empty where nothing writes yet, and for dead letters. */
  readonly events: readonly TopicEvents[];
}

/** The events of one type on a topic. */
export interface TopicEvents {
  readonly type: string;
  /** The field that orders them. */
  readonly key: string;
  /** The partitions that they use. */
  readonly on: 'all' | 'even' | 'odd';
  /** True when their place is on another topic. */
  readonly copy: boolean;
  /** The consumer groups that take them from here. */
  readonly groups: readonly string[];
}

/** The topics of a topology in its own order, with what is on them. @param readers the services whose groups are named */
export function overviewOf(topology: Topology, readers: readonly Reader[]): readonly TopicOverview[] {
  const all = [...topology.routes].flatMap(([type, routes]) => routes.map((route) => ({ type, route })));
  return topology.topics.map(({ name, partitions }) => ({
    topic: name,
    partitions,
    events: all
      .filter(({ route }) => route.topic === name || route.copies?.includes(name))
      .map(({ type, route }) => eventsOn(name, type, route, readers)),
  }));
}

function eventsOn(topic: string, type: string, route: Route, readers: readonly Reader[]): TopicEvents {
  const copy = route.topic !== topic;
  const consuming = copy ? [] : readers.filter(({ reactions }) => type in reactions);
  const groups = consuming.map(({ name }) => groupName(name, topic));
  return { type, key: route.key.name, on: route.partitions ?? 'all', copy, groups };
}
