import { join } from 'node:path';
import { describe, type TestContext } from 'node:test';
import type { GroupStore } from '#kernel/bus/group.ts';
import { createMemoryFailureStore } from '#kernel/bus/memory/failure-store.ts';
import { createMemoryGroupStore } from '#kernel/bus/memory/group-store.ts';
import { replayDeadLetters } from '#kernel/bus/postgres/error-log.ts';
import { createPostgresFailureStore } from '#kernel/bus/postgres/failure-store.ts';
import { createPostgresGroupStore } from '#kernel/bus/postgres/group-store.ts';
import type { Clock } from '#kernel/core/clock.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import type { Turns } from '#kernel/core/turns.ts';
import { createMemoryStore } from '#kernel/event-store/memory/store.ts';
import { createMemoryTables } from '#kernel/event-store/memory/tables.ts';
import { STORED_COLUMNS, type StoredRow, toEvent } from '#kernel/event-store/postgres/read.ts';
import { createPostgresStore } from '#kernel/event-store/postgres/store.ts';
import type { Store } from '#kernel/event-store/store.ts';
import { migrate } from '#kernel/postgres/migrator.ts';
import { createPool, type Pool } from '#kernel/postgres/pool.ts';
import { createPostgresTurns } from '#kernel/postgres/turns.ts';
import type { FailureStore } from '#kernel/processor/failures.ts';
import { onEnd } from './cleanup.ts';
import { createManualClock, type ManualClock } from './manual-clock.ts';
import { createDatabase } from './postgres.ts';
import { TOY_TABLES } from './toy-tables.ts';

const MIGRATIONS = join(import.meta.dirname, '../../src/kernel/postgres/migrations');
const STATEMENT_TIMEOUT_MS = 20_000;
const RESOLVE_TIMEOUT_MS = 5_000;

/** Where the kernel keeps things: an empty one for each test. */
export interface Backend {
  readonly store: Store;
  readonly groups: GroupStore;
  readonly failures: FailureStore;
  readonly turns: Turns;
  readonly clock: ManualClock;
  /** As if the clock by which members say that they live had been set back. */
  setGroupClockBack(ms: number): Promise<void>;
  /** What became of the messages that failed, in the order of arrival. */
  errorLog(): Promise<readonly LoggedFailure[]>;
  /** Lets an operator's replay of all dead letters begin. */
  replayDeadLetters(): Promise<void>;
  /** Every event as it is stored, by chain and position. */
  stored(): Promise<readonly StoredLink[]>;
  /** Another process's view of the same data, with a clock of its own. */
  storeWith(clock: Clock): Store;
}

/** A message that failed, as operators see it. */
export interface LoggedFailure {
  readonly event_id: string;
  readonly status: string;
  readonly attempts: number;
  readonly error: string;
  readonly dlq_topic: string;
}

/** A stored event, when it was stored (milliseconds since 1970), and its link in the chain (hex). */
export interface StoredLink {
  readonly event: RecordedEvent;
  readonly storedAt: number;
  readonly hash: string;
}

/** A PostgreSQL database with the kernel's tables and those of the toy service. */
export interface PostgresBackend extends Backend {
  readonly url: string;
  readonly pool: Pool;
  /** The store of a process that reaches the database by another address, such as a proxy's. */
  storeAt(url: string, instance: string, commitTimeoutMs?: number): Store;
}

export function openMemory(): Backend {
  const clock = createManualClock();
  const tables = createMemoryTables();
  return {
    store: createMemoryStore(clock, tables),
    groups: createMemoryGroupStore(tables, clock),
    failures: createMemoryFailureStore(tables),
    turns: { take: (_name, work) => work(), taken: async () => false },
    clock,
    setGroupClockBack: async (ms) => clock.advance(-ms),
    errorLog: async () =>
      [...tables.failures.values()].map(({ eventId, status, attempts, error, dlqTopic }) => ({
        event_id: eventId,
        status,
        attempts,
        error,
        dlq_topic: dlqTopic,
      })),
    replayDeadLetters: async () => {
      for (const row of tables.failures.values()) {
        if (row.status !== 'open') continue;
        Object.assign(row, { status: 'retrying', attempts: 0, retryAt: clock.now(), resolvedAt: clock.now() });
      }
    },
    stored: async () => [...tables.chains.values()].flatMap((chain) => chain.events),
    storeWith: (other) => createMemoryStore(other, tables),
  };
}

/** Opens an empty database, and closes it after the test. Writers must be closed by the test. */
export async function openPostgres(t: TestContext): Promise<PostgresBackend> {
  return openPostgresAt(t, await createDatabase());
}

/** The same in a database that the test has made. */
export async function openPostgresAt(t: TestContext, url: string): Promise<PostgresBackend> {
  const clock = createManualClock();
  const settings = { url, applicationName: 'test', maxConnections: 6, statementTimeoutMs: STATEMENT_TIMEOUT_MS };
  const pool = createPool(settings, (error) => t.diagnostic(`idle connection: ${error.message}`));
  onEnd(t, () => pool.close());
  await migrate(pool, [{ scope: 'kernel', directory: MIGRATIONS }]);
  await pool.query(TOY_TABLES);
  const storeFor = (at: string, instance: string, by: Clock, commitTimeoutMs?: number): Store =>
    createPostgresStore(
      { url: at, instance, resolveTimeoutMs: RESOLVE_TIMEOUT_MS, ...(commitTimeoutMs && { commitTimeoutMs }) },
      pool,
      by,
    );
  return {
    url,
    pool,
    store: storeFor(url, 'one', clock),
    groups: createPostgresGroupStore(pool),
    failures: createPostgresFailureStore(pool),
    turns: createPostgresTurns(pool),
    clock,
    setGroupClockBack: async (ms) => {
      await pool.query(`UPDATE bus_members SET heartbeat_at = heartbeat_at + $1 * interval '1 millisecond'`, [ms]);
    },
    errorLog: () => pool.query('SELECT event_id, status, attempts, error, dlq_topic FROM error_log ORDER BY arrival'),
    replayDeadLetters: async () => {
      await replayDeadLetters(pool, { limit: 1000, operator: 'test' });
    },
    stored: () => readLinks(pool),
    storeWith: (other) => storeFor(url, 'two', other),
    storeAt: (at, instance, commitTimeoutMs) => storeFor(at, instance, clock, commitTimeoutMs),
  };
}

async function readLinks(pool: Pool): Promise<readonly StoredLink[]> {
  const rows = await pool.query<StoredRow & { hash: Buffer }>(
    `SELECT ${STORED_COLUMNS}, e.hash FROM events e ORDER BY e.chain, e.chain_position`,
  );
  return rows.map((row) => ({ event: toEvent(row), storedAt: row.created_at, hash: row.hash.toString('hex') }));
}

/** Declares the tests of `body` once for each kind of backend: what they show must hold for all. */
export function describeBackends(name: string, body: (open: (t: TestContext) => Promise<Backend>) => void): void {
  describe(`${name}, in memory`, () => body(async () => openMemory()));
  describe(`${name}, on PostgreSQL`, () => body(openPostgres));
}
