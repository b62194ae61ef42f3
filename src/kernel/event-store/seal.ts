import { canonicalJson } from '../core/canonical-json.ts';
import type { RecordedEvent } from '../core/event.ts';
import { link } from './hash-chain.ts';
import type { StreamAppend } from './store.ts';

/** The end of a chain: what the next event is linked to. */
export interface ChainEnd {
  readonly chain: number;
  readonly position: number;
  /** Hex. */
  readonly hash: string;
}

/** A batch of events with their places and links, ready to be stored. */
export interface SealedBatch {
  readonly events: readonly RecordedEvent[];
  /** When they are stored, milliseconds since 1970: chooses the partition. */
  readonly storedAt: number;
  readonly data: readonly string[];
  readonly metadata: readonly string[];
  readonly hashes: readonly string[];
  readonly end: ChainEnd;
}

/** Gives each event of the appends its place in its stream and in the chain, and its link. */
export function seal(appends: readonly StreamAppend[], from: ChainEnd, storedAt: number): SealedBatch {
  const events: RecordedEvent[] = [];
  const data: string[] = [];
  const metadata: string[] = [];
  const hashes: string[] = [];
  let end = from;
  for (const append of appends) {
    let streamPosition = append.expectedPosition;
    for (const pending of append.events) {
      streamPosition += 1;
      const event: RecordedEvent = {
        id: pending.id,
        type: pending.type,
        version: pending.version,
        aggregateType: append.stream.type,
        aggregateId: append.stream.id,
        streamPosition,
        chain: end.chain,
        chainPosition: end.position + 1,
        time: pending.time,
        data: pending.data,
        metadata: pending.metadata,
      };
      const dataText = canonicalJson(pending.data);
      const metadataText = canonicalJson(pending.metadata);
      const hash = link(end.hash, event, storedAt, dataText, metadataText);
      events.push(event);
      data.push(dataText);
      metadata.push(metadataText);
      hashes.push(hash);
      end = { chain: end.chain, position: event.chainPosition, hash };
    }
  }
  return { events, storedAt, data, metadata, hashes, end };
}
