import type { IncomingMessage, OutgoingMessage } from '#kernel/bus/kafka/cloud-event.ts';
import { NO_HEADERS } from '#kernel/bus/kafka/headers.ts';
import { produceRequest, toRecord } from '#kernel/bus/kafka/produce.ts';
import { readBatches } from '#kernel/bus/kafka/records.ts';

const OLDEST_VERSION = 3;

/** A message as a consumer gets it: written into a request to a broker, and read from there. */
export function asRead(message: OutgoingMessage, offset: number, timestamp: number): IncomingMessage {
  const { topic, partition } = message;
  const { buffer } = produceRequest(OLDEST_VERSION, -1, 0, [toRecord(message)]);
  const { key, value, headers } = readBatches(buffer.subarray(batchAt(topic)))[0]!.records[0]!;
  return { topic, partition, offset, timestamp, key, value, headers };
}

/** Headers as a consumer gets them. */
export function headersOf(
  entries: readonly (readonly [Buffer | string, Buffer | string])[],
): IncomingMessage['headers'] {
  const headers = entries.flat();
  const message = { topic: 't', partition: 0, key: '', value: '', common: NO_HEADERS, headers, timestamp: 0n };
  return asRead(message, 0, 0).headers;
}

/**
 * Where the batch begins in a request of the oldest version to one partition: behind no transaction, acks, time-out, one topic and
 * its name, one partition and its number, and how long the batch is.
 */
export function batchAt(topic: string): number {
  return 2 + 2 + 4 + 4 + (2 + Buffer.byteLength(topic)) + 4 + 4 + 4;
}
