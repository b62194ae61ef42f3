import {
  type API,
  type Callback,
  type Connection,
  Consumer,
  type fetchV17,
  kGetApi,
  type Reader,
  ResponseError,
} from '@platformatic/kafka';
import { sentBy } from './codec.ts';
import { type RecordBatch, readBatches } from './records.ts';

/*
 * Answers to fetch requests, read without a buffer for each header.
 */

type FetchResponse = ReturnType<typeof fetchV17.parseResponse>;
type FetchedPartition = FetchResponse['responses'][number]['partitions'][number];

/** From these versions on an answer has what the name says. */
const LOG_START = 5;
const SESSION = 7;
const READ_REPLICA = 11;
const COMPACT = 12;
const TOPIC_ID = 13;

/** A consumer whose fetched batches are those of `batchesOf`. */
export class RecordConsumer extends Consumer {
  override [kGetApi]<Arguments extends unknown[], Response>(
    name: string,
    callback: Callback<API<Arguments, Response>>,
  ): void {
    super[kGetApi]<Arguments, Response>(name, (error, api) => {
      callback(error, api !== undefined && name === 'Fetch' ? sentBy(api, readRecords) : api);
    });
  }
}

const readRecords =
  (connection: Connection): Connection['send'] =>
  (key, version, request, _parse, ...others) =>
    connection.send(key, version, request, parseFetched as never, ...others);

/** What a `RecordConsumer` has fetched of a partition. */
export function batchesOf({ records }: FetchedPartition): readonly RecordBatch[] {
  return (records ?? []) as unknown as readonly RecordBatch[];
}

/**
 * An answer of any version to a fetch request.
 * @throws ResponseError some partitions have an error; the answer is in it
 */
export function parseFetched(_correlationId: number, apiKey: number, version: number, reader: Reader): FetchResponse {
  const isCompact = version >= COMPACT;
  const errors: Record<string, [number, null]> = {};
  const throttleTimeMs = reader.readInt32();
  const errorCode = version >= SESSION ? reader.readInt16() : 0;
  if (errorCode !== 0) errors[''] = [errorCode, null];
  const sessionId = version >= SESSION ? reader.readInt32() : 0;
  const responses = reader.readArray(
    (ofTopic, i) => ({
      topicId: version >= TOPIC_ID ? ofTopic.readUUID() : ofTopic.readString(isCompact),
      partitions: ofTopic.readArray(
        (ofPartition, j) => {
          const partition = parsePartition(version, ofPartition);
          if (partition.errorCode !== 0) errors[`/responses/${i}/partitions/${j}`] = [partition.errorCode, null];
          return partition;
        },
        isCompact,
        isCompact,
      ),
    }),
    isCompact,
    isCompact,
  );
  if (isCompact) reader.readTaggedFields();
  const response = { throttleTimeMs, errorCode, sessionId, responses };
  if (Object.keys(errors).length > 0) throw new ResponseError(apiKey, version, errors, response);
  return response;
}

function parsePartition(version: number, reader: Reader): FetchedPartition {
  const isCompact = version >= COMPACT;
  const partitionIndex = reader.readInt32();
  const errorCode = reader.readInt16();
  const highWatermark = reader.readInt64();
  const lastStableOffset = reader.readInt64();
  const logStartOffset = version >= LOG_START ? reader.readInt64() : -1n;
  const abortedTransactions = reader.readNullableArray(
    (r) => ({ producerId: r.readInt64(), firstOffset: r.readInt64() }),
    isCompact,
    isCompact,
  );
  const preferredReadReplica = version >= READ_REPLICA ? reader.readInt32() : -1;
  const length = isCompact ? reader.readUnsignedVarInt() - 1 : reader.readInt32();
  const bytes = reader.buffer.slice(reader.position, reader.position + Math.max(0, length));
  reader.skip(bytes.length);
  return {
    partitionIndex,
    errorCode,
    highWatermark,
    lastStableOffset,
    logStartOffset,
    abortedTransactions,
    preferredReadReplica,
    records: readBatches(bytes) as unknown as NonNullable<FetchedPartition['records']>,
  };
}
