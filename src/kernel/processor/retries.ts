import type { Consumer } from '../bus/consumer.ts';
import type { Place } from '../bus/topology.ts';
import type { Clock } from '../core/clock.ts';
import type { FailureStore, RetryingMessage } from './failures.ts';

/**
 * The messages of our partitions that wait for another attempt; a key with one of them waiting is blocked. It is due when
 * its time has come, or when it only waited behind another.
 */
export interface Retries {
  /** Reads them anew; to be called about every second and when partitions changed. */
  refresh(): Promise<void>;
  /** True when `takeDue` has something to give. */
  readonly due: boolean;
  /**
   * True when more messages may wait than are looked at. Which keys are blocked is then not known: no new message may be
   * handled until fewer wait.
   */
  readonly full: boolean;
  /** The first message of each key whose time has come. */
  takeDue(max: number): readonly RetryingMessage[];
  /** True when nothing waits: no key is blocked. */
  readonly isEmpty: boolean;
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
  let full = false;

  const isDue = (first: RetryingMessage, now: number): boolean => first.retryAt <= now || first.attempts === 0;

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
      const next = new Map<string, RetryingMessage[]>();
      const waiting = await failures.retrying(consumerName, consumer.owned, maxWaiting);
      for (const message of waiting) add(next, message);
      full = waiting.length >= maxWaiting;
      byKey = next;
    },
    get due() {
      const now = clock.now();
      for (const [first] of byKey.values()) if (isDue(first!, now)) return true;
      return false;
    },
    get full() {
      return full;
    },
    takeDue: (max) => {
      const now = clock.now();
      const due: RetryingMessage[] = [];
      for (const [first] of byKey.values()) {
        if (due.length >= max) break;
        if (isDue(first!, now)) due.push(first!);
      }
      return due;
    },
    get isEmpty() {
      return byKey.size === 0;
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
