import type { Consumer } from '../bus/consumer.ts';
import { partitionName } from '../bus/group.ts';
import type { Place } from '../bus/topology.ts';
import type { Clock } from '../core/clock.ts';
import type { FailureStore, RetryingMessage } from './failures.ts';

/** The messages of our partitions that wait for another attempt; a key with one of them waiting is blocked. */
export interface Retries {
  /** Reads them anew; to be called about every second and when partitions changed. */
  refresh(): Promise<void>;
  /** The first message of each key whose time has come. */
  takeDue(max: number): readonly RetryingMessage[];
  /** When the key's first message is tried again, or undefined when nothing of the key waits. */
  blockedUntil(place: Place): number | undefined;
  /** Notes what the batch just committed, before the next `refresh`. */
  keep(message: RetryingMessage): void;
  settle(message: RetryingMessage): void;
}

/** @param maxWaiting how many waiting messages are looked at at once */
export function createRetries(
  consumerName: string,
  consumer: Consumer,
  failures: FailureStore,
  clock: Clock,
  maxWaiting: number,
): Retries {
  let byKey = new Map<string, RetryingMessage[]>();

  const add = (map: Map<string, RetryingMessage[]>, message: RetryingMessage): void => {
    const name = keyName(message.place);
    const waiting = map.get(name);
    if (waiting === undefined) map.set(name, [message]);
    else waiting.push(message);
  };

  const remove = (message: RetryingMessage): void => {
    const name = keyName(message.place);
    const waiting = byKey.get(name)?.filter((other) => other.event.id !== message.event.id) ?? [];
    if (waiting.length === 0) byKey.delete(name);
    else byKey.set(name, waiting);
  };

  return {
    refresh: async () => {
      const owned = new Set(consumer.owned.map(partitionName));
      const next = new Map<string, RetryingMessage[]>();
      for (const message of await failures.retrying(consumerName, maxWaiting)) {
        if (owned.has(partitionName(message.place))) add(next, message);
      }
      byKey = next;
    },
    takeDue: (max) => {
      const now = clock.now();
      const due: RetryingMessage[] = [];
      for (const [first] of byKey.values()) {
        if (due.length >= max) break;
        if (first !== undefined && (first.retryAt <= now || first.attempts === 0)) due.push(first);
      }
      return due;
    },
    blockedUntil: (place) => (byKey.size === 0 ? undefined : byKey.get(keyName(place))?.[0]?.retryAt),
    keep: (message) => {
      const waiting = byKey.get(keyName(message.place));
      const index = waiting?.findIndex((other) => other.event.id === message.event.id) ?? -1;
      if (index >= 0) waiting![index] = message;
      else add(byKey, message);
    },
    settle: remove,
  };
}

function keyName(place: Place): string {
  return `${place.topic}/${place.key}`;
}
