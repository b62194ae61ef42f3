import { canonicalJson } from '#kernel/core/canonical-json.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { uuidTime } from '#kernel/core/ids.ts';
import { CHAIN_START } from '#kernel/event-store/hash-chain.ts';
import { appendStatements } from '#kernel/event-store/postgres/append.ts';
import { eventsBetween } from '#kernel/event-store/postgres/events-between.ts';
import { readHead } from '#kernel/event-store/postgres/read.ts';
import { monthOf } from '#kernel/event-store/store.ts';
import { openPipelinedConnection, type Statement } from '#kernel/postgres/pipeline.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import type { Database } from '#src/composition/database.ts';

const SCHEMA = 'bench_limit';
const BATCH_EVENTS = 500;
/** So many different batches are made of the run's events, and sent round and round, as if later in time. */
const BATCHES = 40;
const STATEMENT_TIMEOUT_MS = 60_000;

/** Where the parameters of the insert statement stand: see event-store/postgres/append.ts. */
const PARAMETER = { eventId: 0, aggregateId: 1, streamPosition: 2, chainPosition: 12 } as const;
/** A binary array: the header, then each element with its length before it. */
const HEADER_BYTES = 20;
const LENGTH_BYTES = 4;
const UUID_BYTES = 16;
const TIME_BYTES = 6;

/**
 * How fast PostgreSQL takes the events of this run when nothing else is done: the same rows by the same statement into a
 * table with the same indexes, in batches, one after another on one connection. The platform can never be faster than that
 * on one connection; it does all the rest besides.
 * @returns events per second
 */
export async function measureLimit(database: Database, seconds: number): Promise<number> {
  const { pool } = database;
  const batches = await prepareBatches(pool);
  if (batches.length === 0) return 0;
  await createScratchStore(pool);
  const connection = await openPipelinedConnection(database.url, 'caudal bench limit', STATEMENT_TIMEOUT_MS);
  try {
    await connection.transaction([statement('search_path', `SET search_path TO ${SCHEMA}, public`)]);
    const started = performance.now();
    let inserted = 0;
    for (let i = 0; performance.now() - started < seconds * 1000; i++) {
      const batch = batches[i % batches.length]!;
      if (i >= batches.length) moveOn(batch, batches.length);
      await connection.transaction([batch.insert]);
      inserted += BATCH_EVENTS;
    }
    return Math.round(inserted / ((performance.now() - started) / 1000));
  } finally {
    await connection.close();
    await pool.query(`DROP SCHEMA ${SCHEMA} CASCADE`);
  }
}

interface PreparedBatch {
  readonly events: readonly RecordedEvent[];
  readonly insert: Statement & { readonly values: unknown[] };
}

async function prepareBatches(sql: Sql): Promise<readonly PreparedBatch[]> {
  const types = await sql.query<{ event_type: string }>('SELECT DISTINCT event_type FROM events');
  const stretches = eventsBetween(
    sql,
    {},
    await readHead(sql),
    types.map((row) => row.event_type),
    BATCH_EVENTS,
  );
  const batches: PreparedBatch[] = [];
  for await (const { events } of stretches) {
    if (events.length < BATCH_EVENTS || batches.length === BATCHES) break;
    batches.push({ events, insert: insertOf(events, batches.length * BATCH_EVENTS) });
  }
  return batches;
}

function insertOf(events: readonly RecordedEvent[], position: number): PreparedBatch['insert'] {
  const now = Date.now();
  const from = { chain: 1, position, hash: CHAIN_START };
  const sealed = {
    events,
    storedAt: now,
    data: events.map((event) => canonicalJson(event.data)),
    metadata: events.map((event) => canonicalJson(event.metadata)),
    hashes: events.map(() => CHAIN_START),
    end: from,
  };
  const insert = appendStatements([], sealed, from, monthOf(now)).at(-1)!;
  return { ...insert, values: [...insert.values] };
}

/** Makes the rows of a batch those of a later round: later ids, later positions, as the indexes of a growing log see them. */
function moveOn({ events, insert }: PreparedBatch, batches: number): void {
  const { values } = insert;
  const eventIds = values[PARAMETER.eventId] as Buffer;
  const aggregateIds = values[PARAMETER.aggregateId] as Buffer;
  const positions = values[PARAMETER.streamPosition] as Buffer;
  for (const [i, event] of events.entries()) {
    moveTime(eventIds, i);
    // The stream of a payment is a later payment's; that of a wallet, whose id tells no time, grows.
    if (uuidTime(event.aggregateId) !== undefined) moveTime(aggregateIds, i);
    else positions.writeUInt32BE(positions.readUInt32BE(positionAt(i)) + 1, positionAt(i));
  }
  values[PARAMETER.chainPosition] = (values[PARAMETER.chainPosition] as number) + batches * BATCH_EVENTS;
}

const HOUR_MS = 3_600_000;

/** The first 48 bits of a UUIDv7 are its time, milliseconds: one round is an hour. */
function moveTime(ids: Buffer, index: number): void {
  const at = HEADER_BYTES + index * (LENGTH_BYTES + UUID_BYTES) + LENGTH_BYTES;
  ids.writeUIntBE(ids.readUIntBE(at, TIME_BYTES) + HOUR_MS, at, TIME_BYTES);
}

/** The upper half of a position, a bigint: one more is a position beyond all of this run. */
function positionAt(index: number): number {
  return HEADER_BYTES + index * (LENGTH_BYTES + 8) + LENGTH_BYTES;
}

/** A table of events like the real one, with the partitions and indexes that the migration's own function makes. */
async function createScratchStore(sql: Sql & Database['pool']): Promise<void> {
  await sql.transaction(async (scratch) => {
    await scratch.query(`CREATE SCHEMA ${SCHEMA}`);
    await scratch.query(
      `CREATE TABLE ${SCHEMA}.events (LIKE events INCLUDING DEFAULTS) PARTITION BY RANGE (created_at)`,
    );
    await scratch.query(`CREATE TABLE ${SCHEMA}.event_months (LIKE event_months INCLUDING ALL)`);
    await scratch.query(`SET LOCAL search_path TO ${SCHEMA}`);
    await scratch.query('SELECT public.create_event_partition($1)', [monthOf(Date.now())]);
  });
}

function statement(name: string, text: string): Statement {
  return { name, text, values: [] };
}
