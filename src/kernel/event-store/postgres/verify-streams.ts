import type { Sql } from '../../postgres/sql.ts';
import type { StreamRef } from '../store.ts';

/** A stretch of a stream that is not there. */
export interface StreamGap {
  readonly stream: StreamRef;
  readonly from: number;
  readonly to: number;
  /** Sequence numbers between which those of the missing events lay. */
  readonly after: number;
  readonly until: number;
}

/** An event at a position of a stream that another one has. */
export interface StreamDuplicate {
  readonly stream: StreamRef;
  readonly position: number;
  readonly eventId: string;
}

export interface StreamFaults {
  readonly gaps: StreamGap[];
  readonly duplicates: StreamDuplicate[];
}

interface Irregular {
  readonly id: string;
  readonly position: number;
  readonly sequence: number;
  /** Of the event before it in the stream; 0: there is none. */
  readonly position_before: number;
  readonly sequence_before: number;
}

/**
 * Streams whose positions are not 1, 2, 3… each once, across all partitions: those whose number, last position and sum of
 * positions do not agree. One pass over the table by a hash aggregate; it spills to disk when the streams are many.
 */
const FIND_STREAMS = `SELECT aggregate_type AS type, aggregate_id AS id FROM events GROUP BY aggregate_type, aggregate_id
  HAVING min(stream_position) <> 1 OR max(stream_position) <> count(*)
    OR sum(stream_position) <> count(*) * (count(*) + 1) / 2
  LIMIT $1`;

/** The events of one stream that do not stand right after the one before. */
const FIND_IRREGULAR = `SELECT * FROM (
    SELECT event_id AS id, stream_position::float8 AS position, sequence_number::float8 AS sequence,
      lag(stream_position, 1, 0::bigint) OVER w AS position_before,
      lag(sequence_number, 1, 0::bigint) OVER w AS sequence_before
    FROM events WHERE aggregate_id = $1 AND aggregate_type = $2
    WINDOW w AS (ORDER BY stream_position, sequence_number)) p
  WHERE position <> position_before + 1 ORDER BY position, sequence LIMIT $3`;

/** Finds gaps and duplicates in the positions of streams: at most `limit` streams, and `limit` places in each. */
export async function checkStreams(sql: Sql, limit: number): Promise<StreamFaults> {
  const faults: StreamFaults = { gaps: [], duplicates: [] };
  for (const stream of await sql.query<StreamRef>(FIND_STREAMS, [limit])) {
    const rows = await sql.query<Irregular>(FIND_IRREGULAR, [stream.id, stream.type, limit]);
    for (const row of rows) describeIrregular(stream, row, faults);
  }
  return faults;
}

function describeIrregular(stream: StreamRef, row: Irregular, faults: StreamFaults): void {
  const { id, position, position_before: before } = row;
  if (position <= before) {
    faults.duplicates.push({ stream, position, eventId: id });
    return;
  }
  faults.gaps.push({ stream, from: before + 1, to: position - 1, after: row.sequence_before, until: row.sequence });
}
