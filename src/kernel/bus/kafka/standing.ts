import { type LogPosition, positionIn } from '../../core/log-position.ts';

/*
 * Where a consumer stands in one partition of a topic: the offset of the next message, which making of the topic that counts
 * in, and of each chain that had events in the partition the last position that was handled. The relay may write an event
 * twice, at two offsets, but never an event of a chain after a later one for the first time: what is not past its chain's
 * position was handled.
 */

/** The key of the next offset, beside those of chains, which are `store/chain`. */
const OFFSET = 'offset';
const TOPIC = 'topic';

/** The offset to go on from; undefined at the beginning, which is the first message that the topic still has. */
export function offsetOf(standing: LogPosition): number | undefined {
  // What is kept of several positions leaves out zeros.
  return standing[OFFSET] ?? (standing[TOPIC] === undefined ? undefined : 0);
}

/** Of which topic the offset is: one that was deleted and made anew counts from the start. Undefined when nothing was read. */
export function topicTagOf(standing: LogPosition): number | undefined {
  return standing[TOPIC];
}

/** The offset of the first message that was not handled in the topic of that tag; 0 when nothing of it was read. */
export function nextIn(standing: LogPosition, tag: number | undefined): number {
  return topicTagOf(standing) === tag ? (offsetOf(standing) ?? 0) : 0;
}

/** A topic's id (a UUID of Kafka's) as the number that is kept: its first 48 bits. */
export function topicTag(topicId: string): number {
  return Number.parseInt(topicId.replaceAll('-', '').slice(0, 12), 16);
}

/** Whether the event at `position` of the chain was handled before. */
export function isHandled(standing: LogPosition, chain: string, position: number): boolean {
  return position <= positionIn(standing, chain);
}

/** A message of a partition, as far as the standing is concerned. */
export interface Step {
  readonly offset: number;
  readonly topicTag: number;
  /** The event that it holds, if any. */
  readonly chain?: string | undefined;
  readonly position?: number | undefined;
}

/** Moves the standing past a message. Changes `standing`. */
export function advance(standing: Record<string, number>, { offset, topicTag: tag, chain, position }: Step): void {
  standing[OFFSET] = offset + 1;
  standing[TOPIC] = tag;
  if (chain !== undefined && position !== undefined && !isHandled(standing, chain, position))
    standing[chain] = position;
}

/** The standing of one that goes on at the offset, unless it stands further in the same topic. What it knows of chains stays. */
export function standAt(standing: LogPosition, offset: number, tag: number): LogPosition {
  return { ...standing, [OFFSET]: Math.max(offset, nextIn(standing, tag)), [TOPIC]: tag };
}
