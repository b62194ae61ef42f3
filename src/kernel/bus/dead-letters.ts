import { toError, UnavailableError } from '../core/errors.ts';
import type { RecordedEvent } from '../core/event.ts';
import type { Log } from '../observability/log.ts';

/** A message that no attempt could handle, as it goes to a topic of dead letters. Times in milliseconds since 1970. */
export interface DeadLetterMessage {
  /** The row that the operators see. */
  readonly id: string;
  /** Which time it came to them. Messages of the same id and count are the same dead letter. */
  readonly count: number;
  /** Where the row stands among all. */
  readonly arrival: number;
  /** Which could not handle it. */
  readonly service: string;
  /** Of the dead letters. */
  readonly topic: string;
  readonly originalTopic: string;
  readonly originalPartition: number;
  readonly key: string;
  readonly event: RecordedEvent;
  readonly attempts: number;
  readonly error: string;
  readonly fingerprint: string;
  readonly firstSeen: number;
  readonly diedAt: number;
}

/** Where a dead letter stands on Kafka. */
export interface DeadLetterPlace {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** What was found at an offset of a topic of dead letters. */
export type FoundLetter =
  | { readonly offset: number; readonly letter: DeadLetterMessage; readonly store: string }
  | { readonly offset: number; readonly problem: string };

/** A partition of a topic of dead letters: its first offset, and the one behind its last message. */
export interface PartitionBounds {
  readonly partition: number;
  readonly start: number;
  readonly end: number;
}

/** The topics of dead letters: Kafka, or a list in a test. All throw UnavailableError when they are out of reach. */
export interface DeadLetterTopics {
  /** Writes as many of the first as go together, in order. @returns where each of them is: at least one */
  send(letters: readonly DeadLetterMessage[]): Promise<readonly DeadLetterPlace[]>;
  /** In the order of the partitions. */
  bounds(topic: string): Promise<readonly PartitionBounds[]>;
  /** Some of a partition from an offset that it has. @returns what was found, and where to go on */
  read(from: DeadLetterPlace): Promise<{ readonly found: readonly FoundLetter[]; readonly next: number }>;
  close(): Promise<void>;
}

/** The dead letters of a store that have not left for their topics yet. */
export interface DeadLetterOutbox {
  /** The first `limit`, in the order in which they came. */
  waiting(limit: number): Promise<readonly DeadLetterMessage[]>;
  /** Notes where letters are now: the first at the first place, and so on. */
  note(letters: readonly DeadLetterMessage[], places: readonly DeadLetterPlace[]): Promise<void>;
}

/** Brings dead letters to their topics, where this process is the one that has to. */
export interface DeadLetterCarrier {
  /** Carries all that wait; those that cannot leave now wait for the next call. Never called twice at once. */
  carry(): Promise<void>;
  stop(): Promise<void>;
}

interface Ports {
  readonly outbox: DeadLetterOutbox;
  readonly topics: DeadLetterTopics;
  /** Whether this process is the one: two that both take themselves for it may send a letter twice, and no more. */
  isActive(): boolean;
  readonly log: Log;
}

/**
 * The carrier of one process. A letter is sent, then it is noted where it is: one that was sent and could not be noted is
 * sent once more, the same in everything.
 * @param maxBatch letters that are sent together at most
 */
export function createDeadLetterCarrier(maxBatch: number, { outbox, topics, isActive, log }: Ports): DeadLetterCarrier {
  let stopping = false;
  let waits = false;

  const send = async (letters: readonly DeadLetterMessage[]): Promise<readonly DeadLetterPlace[] | undefined> => {
    try {
      const places = await topics.send(letters);
      if (waits) log.info({}, 'dead letters leave for Kafka again');
      waits = false;
      return places;
    } catch (cause) {
      if (!(cause instanceof UnavailableError)) throw cause;
      if (!waits && !stopping) log.warn({ error: toError(cause) }, 'dead letters wait until they can leave for Kafka');
      waits = true;
      return undefined;
    }
  };

  return {
    carry: async () => {
      while (!stopping && isActive()) {
        const letters = await outbox.waiting(maxBatch);
        const places = letters.length === 0 ? undefined : await send(letters);
        if (places === undefined) return;
        await outbox.note(letters, places);
      }
    },
    stop: async () => {
      stopping = true;
      await topics.close();
    },
  };
}
