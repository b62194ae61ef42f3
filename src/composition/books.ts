import type { Clock } from '#kernel/core/clock.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { joinLogs, marked, type ReadableLog, unmarked } from '#kernel/event-store/postgres/joined-log.ts';
import { loadStreams, readHead, readStream } from '#kernel/event-store/postgres/read.ts';
import { createSealedLog } from '#kernel/event-store/postgres/sealed-log.ts';
import type { Pool } from '#kernel/postgres/pool.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import { readCoverage, readUnhandled } from '#kernel/projections/postgres/coverage.ts';
import { movementsOfPayments, walletsBefore } from '#services/wallets/queries.ts';
import type { ServiceName } from '#src/config.ts';
import type { Handled } from '#src/invariants/settlement.ts';
import { inCausalOrder } from '#src/payment-events.ts';
import type { Database } from './database.ts';
import type { Databases } from './databases.ts';
import type { serviceDefinitions } from './services.ts';
import { joinStreams, type Streams } from './streams.ts';
import { readLanes } from './topology.ts';

/** The events and tables of all services, for those who look at the whole: of one database, or of several as if they were one. */
export interface Books {
  readonly databases: Databases;
  readonly log: ReadableLog;
  readonly streams: Streams;
  /** The database of a service. */
  sqlOf(service: ServiceName): Pool;
  lanes(): ReturnType<typeof readLanes>;
  /** Events of a few streams in the order of the log. */
  inOrder(events: readonly RecordedEvent[]): readonly RecordedEvent[];
  /** See `movementsOfPayments`. */
  movements(...search: Tail<typeof movementsOfPayments>): ReturnType<typeof movementsOfPayments>;
  /** See `walletsBefore`. */
  walletsBefore(...moments: Tail<typeof walletsBefore>): ReturnType<typeof walletsBefore>;
  /** What a service has handled of the messages that it reacts to. */
  handledBy(service: ServiceName): Promise<Handled>;
}

type Tail<F extends (sql: Sql, ...rest: never[]) => unknown> = F extends (sql: Sql, ...rest: infer R) => unknown
  ? R
  : never;

export function openBooks(
  databases: Databases,
  definitions: ReturnType<typeof serviceDefinitions>,
  clock: Clock,
): Books {
  const sqlOf = (service: ServiceName): Pool => databases.of(service).pool;
  const parts = databases.all.map((database) => ({ number: database.number, log: logOf(database.pool) }));
  const streams = joinStreams(definitions, (service) => {
    const { pool, number } = databases.of(service);
    return { streams: streamsOf(pool), number };
  });
  return {
    databases,
    log: parts.length === 1 ? parts[0]!.log : joinLogs(parts, clock),
    streams,
    sqlOf,
    lanes: () => readLanes(sqlOf('payments')),
    inOrder: (events) =>
      parts.length === 1 ? events.toSorted((a, b) => a.sequence! - b.sequence!) : inCausalOrder(events),
    movements: async (...search) => {
      const { pool, number } = databases.of('wallets');
      const { events, endedAt } = await movementsOfPayments(pool, ...search);
      return { events: events.map((event) => marked(event, number)), endedAt };
    },
    walletsBefore: (...moments) => walletsBefore(sqlOf('wallets'), ...moments),
    handledBy: (service) => handledBy(service, databases, definitions),
  };
}

function logOf(pool: Pool): ReadableLog {
  return { ...createSealedLog(pool), head: () => readHead(pool) };
}

function streamsOf(sql: Sql): Streams {
  return {
    readStream: (stream, options) => readStream(sql, stream, options),
    loadStreams: async (streams) => (streams.length === 0 ? [] : loadStreams(sql, streams)),
  };
}

async function handledBy(
  service: ServiceName,
  { all, of }: Databases,
  definitions: ReturnType<typeof serviceDefinitions>,
): Promise<Handled> {
  const { pool, topologies } = of(service);
  const types = new Set(Object.keys(definitions.get(service)!.reactions));
  const source = { consumer: service, types: [...types], ownTypes: new Set<string>() };
  const coverages = await Promise.all(
    all.map(async ({ number, storeId }: Database) => {
      const { covers } = await readCoverage(pool, source, topologies, storeId);
      return [number, covers] as const;
    }),
  );
  const covering = new Map(coverages);
  const { waiting } = await readUnhandled(pool, service);
  return {
    includes: (found) => {
      const { event, part } = unmarked(found);
      return !types.has(event.type) || (covering.get(part)!(event) && !waiting.has(event.id));
    },
  };
}
