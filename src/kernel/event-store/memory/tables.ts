import type { RecordedEvent } from '../../core/event.ts';
import type { LogPosition } from '../../core/log-position.ts';
import { CHAIN_START } from '../hash-chain.ts';
import type { ChainEnd } from '../seal.ts';

/** An event as it is kept. */
export interface StoredEvent {
  /** As it is read back from the texts; frozen, since every reader gets the same. */
  readonly event: RecordedEvent;
  readonly data: string;
  readonly metadata: string;
  readonly storedAt: number;
  /** Its link in the chain, hex. */
  readonly hash: string;
}

/** The log of one writer. */
export interface MemoryChain {
  end: ChainEnd;
  readonly events: StoredEvent[];
  /** Whether a writer has it. */
  claimed: boolean;
}

/** A member of a consumer group, its progress as JSON. */
export interface MemoryMember {
  progress: string;
  heartbeatAt: number;
}

/** A partition of a consumer group, and where it stands while nobody owns it. */
export interface MemoryPartition {
  readonly topic: string;
  readonly partition: number;
  owner: string | undefined;
  progress: LogPosition;
}

/** Which topology a consumer is on, and which it left. */
export interface MemorySeat {
  topology: string;
  left: string | undefined;
}

/** A message that could not be handled: a row of `error_log`. */
export interface MemoryFailure {
  readonly consumer: string;
  readonly eventId: string;
  readonly topic: string;
  readonly partition: number;
  readonly key: string;
  readonly dlqTopic: string;
  /** The whole recorded event, JSON. */
  readonly event: string;
  attempts: number;
  error: string;
  fingerprint: string;
  count: number;
  readonly firstSeen: number;
  lastSeen: number;
  retryAt: number | undefined;
  status: 'retrying' | 'open' | 'replayed' | 'discarded';
  resolvedAt: number | undefined;
}

/** What the in-memory twins share, as the real ones share a database. Values are JSON text, by key. */
export interface MemoryTables {
  /** By number, from 1. */
  readonly chains: Map<number, MemoryChain>;
  readonly streams: Map<string, StoredEvent[]>;
  lastSequence: number;
  /** The newest month that anything was stored in. */
  month: number;
  readonly snapshots: Map<string, string>;
  readonly answers: Map<string, string>;
  /** Rows by table and key. */
  readonly rows: Map<string, Map<string, string>>;
  /** By consumer and member. */
  readonly members: Map<string, Map<string, MemoryMember>>;
  /** By consumer and partition name. */
  readonly partitions: Map<string, Map<string, MemoryPartition>>;
  /** By consumer. */
  readonly seats: Map<string, MemorySeat>;
  /** By consumer and event; in order of arrival. */
  readonly failures: Map<string, MemoryFailure>;
}

/** An empty store. */
export function createMemoryTables(): MemoryTables {
  return {
    chains: new Map(),
    streams: new Map(),
    lastSequence: 0,
    month: 0,
    snapshots: new Map(),
    answers: new Map(),
    rows: new Map(),
    members: new Map(),
    partitions: new Map(),
    seats: new Map(),
    failures: new Map(),
  };
}

/** Several values as one key. */
export function compositeKey(...parts: readonly (string | number)[]): string {
  return JSON.stringify(parts);
}

/** The inner map of a key, made when it is missing. */
export function innerMap<T>(outer: Map<string, Map<string, T>>, key: string): Map<string, T> {
  let inner = outer.get(key);
  if (inner === undefined) {
    inner = new Map();
    outer.set(key, inner);
  }
  return inner;
}

/** Takes the first chain that no writer has, or starts a new one. */
export function claimMemoryChain(tables: MemoryTables): MemoryChain {
  for (const chain of tables.chains.values()) {
    if (chain.claimed) continue;
    chain.claimed = true;
    return chain;
  }
  const number = tables.chains.size + 1;
  const chain = { end: { chain: number, position: 0, hash: CHAIN_START }, events: [], claimed: true };
  tables.chains.set(number, chain);
  return chain;
}
