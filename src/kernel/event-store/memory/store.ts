import type { Clock } from '../../core/clock.ts';
import { UnavailableError } from '../../core/errors.ts';
import { seal } from '../seal.ts';
import type { Commit, Committed, Store, Writer } from '../store.ts';
import { monthOf } from '../store.ts';
import { checkStreams, planAppend, planSideWrites } from './commit.ts';
import { inOrder } from './in-order.ts';
import { findAnswers, loadRows, loadStream, readLog, readStream } from './read.ts';
import { claimMemoryChain, createMemoryTables, type MemoryChain, type MemoryTables } from './tables.ts';

/**
 * The event store in memory, for tests and simulations: what it does depends on nothing but the calls and the clock.
 * Each call takes effect at once, and whole. To inject faults, wrap the store or its writers.
 * @param tables shared with the twins of the bus, as the real ones share a database
 */
export function createMemoryStore(clock: Clock, tables: MemoryTables = createMemoryTables()): Store {
  return {
    openWriter: async () => createMemoryWriter(tables, clock),
    loadStreams: async (streams) => streams.map((stream) => loadStream(tables, stream)),
    readStream: async (stream, options) => readStream(tables, stream, options),
    readLog: async (after, options) => readLog(tables, after, options),
    head: async () => Object.fromEntries([...tables.chains].map(([number, chain]) => [number, chain.end.position])),
    findAnswers: async (keys) => findAnswers(tables, keys, clock.now()),
    loadRows: async (table, keys) => loadRows(tables, table, keys),
  };
}

function createMemoryWriter(tables: MemoryTables, clock: Clock): Writer {
  let chain: MemoryChain | undefined;
  let closed = false;

  const commit = (batch: Commit): Committed => {
    if (closed) throw new UnavailableError('the writer is closed');
    checkStreams(tables, batch);
    if (batch.appends.length > 0 || batch.sums?.some((sum) => sum.rows.length > 0)) chain ??= claimMemoryChain(tables);
    const now = clock.now();
    const month = batch.appends.length > 0 ? Math.max(monthOf(now), tables.month) : tables.month;
    const storedAt = monthOf(now) < month ? Date.UTC(Math.floor(month / 12), month % 12, 1) : now;
    const sealed = chain === undefined ? undefined : seal(batch.appends, chain.end, storedAt);
    const changes = [
      ...(chain === undefined || sealed === undefined ? [] : [planAppend(tables, chain, sealed)]),
      ...planSideWrites(tables, batch, chain?.end.chain ?? 0, now),
    ];
    for (const change of changes) change();
    tables.month = month;
    return { chain: chain?.end.chain ?? 0, events: sealed?.events ?? [], month };
  };

  return {
    commit: inOrder(async (batch) => commit(batch)),
    recover: async () => {
      if (closed) throw new UnavailableError('the writer is closed');
    },
    close: async () => {
      closed = true;
      if (chain !== undefined) chain.claimed = false;
    },
  };
}
