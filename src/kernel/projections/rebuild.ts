import { holdPositions, putOutMembers } from '../bus/postgres/positions.ts';
import type { Topology } from '../bus/topology.ts';
import { ConflictError } from '../core/errors.ts';
import { distance, LOG_START, type LogPosition } from '../core/log-position.ts';
import type { Pool } from '../postgres/pool.ts';
import type { Sql } from '../postgres/sql.ts';
import { type Build, createBuild, type OtherLog, type ReadModel } from './build.ts';
import { readCoverage, readUnhandled } from './postgres/coverage.ts';
import {
  type Comparison,
  compareTables,
  createTwin,
  dropTwin,
  holdWrites,
  swapTwin,
  twinOf,
} from './postgres/twin-table.ts';

export interface RebuildPorts {
  /** At least three connections. */
  readonly pool: Pool;
  /** Those that there are, the store's current one first. */
  readonly topologies: readonly [Topology, ...Topology[]];
  /** Other stores from which messages come to the read model's service; none when not given. */
  readonly others?: readonly OtherLog[];
}

export interface RebuildOptions {
  /** Swaps the new table in also when it differs from the old one: after a projection was mended, or its table was. */
  readonly replace: boolean;
  /** Log positions passed, of how many. */
  onProgress(done: number, total: number): void;
}

export interface RebuildOutcome extends Comparison {
  readonly events: number;
  readonly swapped: boolean;
}

/** The last stretch is folded while nobody writes: it should be short. */
const CLOSE_EVENTS = 1000;
const MAX_ROUNDS = 20;
const LOCK_TIMEOUT = '10s';

/**
 * Builds a read model anew from the log in a table beside the old one, which goes on serving and being written; compares
 * the two at the same position of the log; and swaps the new one in.
 *
 *   1. fold the log up to where the read model certainly stands; again, since it went on meanwhile; until it is close
 *   2. in one transaction: keep writers of the old table out (readers go on), keep the positions as they are, fold the rest
 *      up to exactly what the old table holds, compare, and let the new table take the old one's place and names
 *
 * It is right while the owner of the table runs, since the owner saves its position in the transaction that writes the
 * rows: with its writes held back, the positions tell what the old table holds, and the new table continues from the very
 * same position. The owner waits for the second step and then writes to the new table without knowing, because PostgreSQL
 * looks the name up again. The order of locks is the owner's (rows before position), so neither waits for the other.
 *
 * When the tables differ, the old one stays, unless `replace` is asked for. What the owner then holds in memory are rows
 * of the old table: it is put out of its group, notices at its next commit, forgets them and joins anew.
 *
 * Killed at any moment, it leaves a table `…_rebuilt` that nobody reads and that the next attempt drops.
 * @throws ConflictError another rebuild of it is under way, or messages of its service wait to be handled
 */
export function rebuild(model: ReadModel, ports: RebuildPorts, options: RebuildOptions): Promise<RebuildOutcome> {
  const { pool } = ports;
  const { table } = model.projection;
  const twin = twinOf(table);
  return pool.transaction(async (guard) => {
    await beAlone(guard, model);
    const skipped = await discardedMessages(pool, model.consumer);
    await createTwin(pool, table, twin);
    try {
      const build = createBuild(model.projection, twin, skipped);
      const position = await catchUp(build, model, ports, options);
      await pool.query(`ANALYZE ${twin.name}`);
      return await pool.transaction(async (sql) => {
        await hold(sql, model, skipped);
        return finish(sql, build, position, model, ports, options.replace);
      });
    } finally {
      await dropTwin(pool, twin);
    }
  });
}

/** A lock that ends with the transaction, however that ends. */
async function beAlone(guard: Sql, { projection }: ReadModel): Promise<void> {
  await guard.query('SET LOCAL idle_in_transaction_session_timeout = 0');
  const rows = await guard.query<{ free: boolean }>(
    'SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)) AS free',
    [`caudal.rebuild ${projection.table.name}`],
  );
  if (!rows[0]!.free) throw new ConflictError(`${projection.name} is being rebuilt already`);
}

/** Events that the read model lacks for good. While others may still be handled, what it ought to hold is not settled. */
async function discardedMessages(sql: Sql, consumer: string): Promise<ReadonlySet<string>> {
  const { waiting, discarded } = await readUnhandled(sql, consumer);
  if (waiting.size === 0) return discarded;
  throw new ConflictError(
    `${waiting.size} messages of ${consumer} wait to be handled: replay or discard them first (caudal dlq list)`,
  );
}

/** Folds the log up to about where the read model stands. @returns the position reached */
async function catchUp(
  build: Build,
  model: ReadModel,
  { pool, topologies }: RebuildPorts,
  options: RebuildOptions,
): Promise<LogPosition> {
  let position: LogPosition = LOG_START;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const { floor } = await readCoverage(pool, model, topologies);
    const total = distance(LOG_START, floor);
    const before = distance(LOG_START, position);
    const stretch = { from: position, to: floor, covers: () => true };
    await build.fold(pool, stretch, (passed) => options.onProgress(before + passed, total));
    position = floor;
    if (total - before <= CLOSE_EVENTS) break;
  }
  return position;
}

/** Until the transaction ends, the table and the positions stay as they are. */
async function hold(sql: Sql, { projection, consumer }: ReadModel, skipped: ReadonlySet<string>): Promise<void> {
  await sql.query('SET LOCAL statement_timeout = 0');
  await sql.query(`SET LOCAL lock_timeout = '${LOCK_TIMEOUT}'`);
  await holdWrites(sql, projection.table);
  await holdPositions(sql, consumer);
  if ((await discardedMessages(sql, consumer)).size !== skipped.size) {
    throw new ConflictError(`messages of ${consumer} were discarded or replayed meanwhile: rebuild again`);
  }
}

async function finish(
  sql: Sql,
  build: Build,
  position: LogPosition,
  model: ReadModel,
  { topologies, others = [] }: RebuildPorts,
  replace: boolean,
): Promise<RebuildOutcome> {
  const { projection, consumer } = model;
  const twin = twinOf(projection.table);
  const { ceiling, covers, partitions } = await readCoverage(sql, model, topologies);
  await build.fold(sql, { from: position, to: ceiling, covers }, () => undefined);
  for (const log of others) await build.foldOther(sql, log, await readCoverage(sql, model, topologies, log.storeId));
  const comparison = await compareTables(sql, projection, twin);
  const swapped = comparison.different === 0 || replace;
  if (swapped) await swapTwin(sql, projection.table, twin);
  if (swapped && comparison.different > 0) await putOutMembers(sql, consumer, partitions);
  return { ...comparison, events: build.events, swapped };
}
