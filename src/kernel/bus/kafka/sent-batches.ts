import type { RecordedEvent } from '../../core/event.ts';
import { type PartitionRef, partitionName } from '../group.ts';

/** What tells a batch of records from all others of its partition: the broker takes each sequence of a producer once. */
export interface BatchId {
  readonly producerId: bigint;
  readonly producerEpoch: number;
  /** Of its first record. */
  readonly firstSequence: number;
  /** Of records. */
  readonly count: number;
}

/** What a batch of ours holds. */
export interface SentBatch {
  /** One for each of its records. */
  readonly events: readonly RecordedEvent[];
  /** Names the store that they come from. */
  readonly store: string;
  /** Which making of the topic they were written for, see `standing.ts`. */
  readonly topicTag: number | undefined;
}

/**
 * The batches that this process has sent last. One that comes back is taken from here instead of being decoded, which is a good
 * part of what a process does that both sends events and handles them.
 */
export interface SentBatches {
  note(ref: PartitionRef, id: BatchId, batch: SentBatch): void;
  /** Once, since few are handled by several services of a process. @returns undefined for one of another process, or not kept any more */
  take(ref: PartitionRef, id: BatchId): SentBatch | undefined;
}

/** @param most events that are kept; the batches that were sent first make room for later ones */
export function createSentBatches(most: number): SentBatches {
  const batches = new Map<string, SentBatch>();
  let kept = 0;
  const remove = (name: string): SentBatch | undefined => {
    const batch = batches.get(name);
    batches.delete(name);
    kept -= batch?.events.length ?? 0;
    return batch;
  };
  return {
    note: (ref, id, batch) => {
      // A batch that holds something else than was meant for it is decoded.
      if (batch.events.length !== id.count) return;
      const name = nameOf(ref, id);
      remove(name);
      batches.set(name, batch);
      kept += batch.events.length;
      for (const oldest of batches.keys()) {
        if (kept <= most) break;
        remove(oldest);
      }
    },
    take: (ref, id) => {
      const found = remove(nameOf(ref, id));
      // Where records were compacted away, the others do not follow one by one.
      return found?.events.length === id.count ? found : undefined;
    },
  };
}

function nameOf(ref: PartitionRef, { producerId, producerEpoch, firstSequence }: BatchId): string {
  return `${partitionName(ref)}/${producerId}/${producerEpoch}/${firstSequence}`;
}
