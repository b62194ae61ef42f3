import type { Consumer } from '#kernel/bus/consumer.ts';
import type { DeadLetterOutbox, DeadLetterTopics } from '#kernel/bus/dead-letters.ts';
import type { GroupStore } from '#kernel/bus/group.ts';
import type { Destination, TopicRegister } from '#kernel/bus/relay.ts';
import type { Topology } from '#kernel/bus/topology.ts';
import type { Pool } from '#kernel/postgres/pool.ts';

/** A bus apart from the log: events are carried to it, and services consume from it. */
export interface Bus {
  /** Where the relay of this store brings events. */
  destination(): Destination;
  /** The topics, as this store knows them. */
  readonly register: TopicRegister;
  /** Where dead letters go besides the rows that operators see, and those of this store that have still to. */
  deadLetters(topology: Topology): { readonly topics: DeadLetterTopics; readonly outbox: DeadLetterOutbox };
  /** A member of a service's consumer groups. */
  consumer(service: { readonly name: string; readonly types: readonly string[] }, ports: BusPorts): Consumer;
}

interface BusPorts {
  /** Those that there are; the first is that of a store that is new. */
  readonly topologies: readonly [Topology, ...Topology[]];
  readonly groups: GroupStore;
  readonly announce: () => Promise<void>;
}

export interface StoreSide {
  /** Names the store among all on the bus. */
  readonly id: string;
  readonly sql: Pool;
  /** The CloudEvents source of an event type. */
  source(type: string): string;
}
