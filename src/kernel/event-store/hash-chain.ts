import { hash } from 'node:crypto';
import { canonicalJson } from '../core/canonical-json.ts';
import type { RecordedEvent } from '../core/event.ts';

/** What a chain starts from: 32 zero bytes, hex. */
export const CHAIN_START = '0'.repeat(64);

/** What of an event is sealed by its hash: everything but the sequence number, which the database gives it later. */
export type SealedEvent = Omit<RecordedEvent, 'data' | 'metadata' | 'sequence'>;

/**
 * The link of one event: SHA-256 (hex) over the link before it and the event. Whoever changes, removes or inserts an
 * event breaks every later link of its chain.
 * @param previous the link before it, `CHAIN_START` for the first of a chain
 * @param storedAt when it was stored (`created_at`), milliseconds since 1970
 * @param data canonical JSON of the payload (see `canonicalJson`)
 * @param metadata canonical JSON of the metadata
 */
export function link(previous: string, event: SealedEvent, storedAt: number, data: string, metadata: string): string {
  const place = `${event.chain}:${event.chainPosition}`;
  const stream = `${event.aggregateType}/${event.aggregateId}/${event.streamPosition}`;
  const what = `${event.id} ${event.type} v${event.version} ${event.time} ${storedAt}`;
  return hash('sha256', `${previous}\n${place}\n${stream}\n${what}\n${data}\n${metadata}`, 'hex');
}

/** The link of an event as it was read back. */
export function linkOf(previous: string, event: RecordedEvent, storedAt: number): string {
  return link(previous, event, storedAt, canonicalJson(event.data), canonicalJson(event.metadata));
}
