import { hash } from 'node:crypto';
import { DataError, UnavailableError } from '../../core/errors.ts';
import { positionIn } from '../../core/log-position.ts';
import type { LogSlice, StandingEvent } from '../comparison.ts';
import { type PartitionRef, partitionName } from '../group.ts';
import type { Compared, Notes } from '../postgres/comparisons.ts';
import type { Topic } from '../topology.ts';
import { type IncomingMessage, readEvent, TOPIC_TAG } from './cloud-event.ts';
import type { Reader } from './reader.ts';

/** Which messages of which partitions belong to a slice of the log, and what to do with them. */
export interface SliceReading {
  readonly topics: readonly Topic[];
  /** Names the store that events are of; those of others are foreign here. */
  readonly store: string;
  readonly slice: LogSlice;
  readonly notes: Notes;
  /** Where the slice before ended. */
  readonly offsets: Compared['offsets'];
  /** True: also reads what stands behind the slice, where only messages that are no part of it, or stand there again, can be. */
  readonly toEnd: boolean;
  readonly maxBytes: number;
  /** Called for each event, in the order of each partition. */
  onEvent(event: StandingEvent): void;
}

/** Answers in a row that bring nothing, although there is something. */
const EMPTY_ANSWERS_MAX = 5;

/**
 * Reads from Kafka what the topics have of a slice of the log.
 * @returns where the next slice begins, and how many messages are no events of the store
 * @throws UnavailableError when the brokers are out of reach, or a topic is not there
 */
export async function readSlice(
  reader: Reader,
  reading: SliceReading,
): Promise<{ readonly offsets: Compared['offsets']; readonly foreign: number }> {
  const { topics, notes, toEnd } = reading;
  const bounds = await reader.bounds(topics.map(({ name }) => name));
  const offsets = { ...reading.offsets };
  let foreign = 0;
  for (const ref of topics.flatMap(partitionsOf)) {
    const name = partitionName(ref);
    const noted = [...(notes.offsets.get(name)?.values() ?? [])];
    const before = reading.offsets[name];
    if (before === undefined && noted.length === 0) continue;
    const { start, end } = bounds.get(name)!;
    const next = before?.next ?? noted.reduce((least, offset) => Math.min(least, offset));
    // What the topic does not have any more cannot be read; one that was made anew is read from its start.
    const from = next > end ? start : Math.max(next, start);
    const behind = noted.reduce((most, offset) => Math.max(most, offset + 1), next);
    const upTo = toEnd ? end : Math.min(behind, end);
    foreign += await readPartition(reader, reading, { ...ref, offset: from }, upTo);
    offsets[name] = { next: behind, seen: Math.max(upTo, before?.seen ?? 0) };
  }
  return { offsets, foreign };
}

function partitionsOf({ name, partitions }: Topic): readonly PartitionRef[] {
  return Array.from({ length: partitions }, (_, partition) => ({ topic: name, partition }));
}

/** @returns how many messages are no events of the store */
async function readPartition(
  reader: Reader,
  { maxBytes, store, slice, offsets, onEvent }: SliceReading,
  from: PartitionRef & { readonly offset: number },
  upTo: number,
): Promise<number> {
  const seen = offsets[partitionName(from)]?.seen ?? 0;
  let foreign = 0;
  let empty = 0;
  for (let offset = from.offset; offset < upTo; ) {
    const { messages, nextOffset } = await reader.read({ ...from, offset }, maxBytes);
    empty = nextOffset > offset ? 0 : empty + 1;
    if (empty === EMPTY_ANSWERS_MAX)
      throw new UnavailableError(`Kafka has ${partitionName(from)} up to ${upTo}, and gives nothing from ${offset} on`);
    offset = nextOffset;
    for (const message of messages) {
      if (message.offset >= upTo) break;
      const event = eventOf(message, store);
      if (event === undefined) foreign += 1;
      // What was there again when it was looked at the last time is known.
      else if (message.offset >= seen || isPast(event, slice)) onEvent(event);
    }
  }
  return foreign;
}

function isPast({ event: { chain, chainPosition } }: StandingEvent, { from }: LogSlice): boolean {
  return chainPosition > positionIn(from, chain);
}

/** Undefined for a message that is no event of the store. */
function eventOf(message: IncomingMessage, store: string): StandingEvent | undefined {
  try {
    const { event } = readEvent(message);
    if (event.store !== store) return undefined;
    const { topic, partition, offset, key } = message;
    return { topic, partition, offset, key: key?.toString() ?? '', event, checksum: checksumOf(message) };
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    return undefined;
  }
}

/** Over headers and value as they stand there, but for what tells of the topic: that is another on each. */
function checksumOf({ headers, value }: IncomingMessage): string {
  const parts = [
    ...headers
      .entries()
      .filter(([name]) => name?.equals(TOPIC_TAG) !== true)
      .flat(),
    value,
  ];
  const lengths = parts.map((part) => part?.length ?? -1).join();
  return hash(
    'sha256',
    Buffer.concat([Buffer.from(lengths), ...parts.map((part) => part ?? Buffer.alloc(0))]),
    'base64',
  );
}
