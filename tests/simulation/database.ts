import type { GroupStore } from '#kernel/bus/group.ts';
import { createMemoryFailureStore } from '#kernel/bus/memory/failure-store.ts';
import { createMemoryGroupStore } from '#kernel/bus/memory/group-store.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { positionIn } from '#kernel/core/log-position.ts';
import { createMemoryStore } from '#kernel/event-store/memory/store.ts';
import { createMemoryTables, type MemoryTables } from '#kernel/event-store/memory/tables.ts';
import type { LogPage, Store } from '#kernel/event-store/store.ts';
import type { FailureStore } from '#kernel/processor/failures.ts';
import type { Random } from '../support/random.ts';
import type { Faults } from './faults.ts';
import { type CallFaults, createLink } from './link.ts';
import type { Machine } from './machine.ts';
import { createSession } from './session.ts';
import type { VirtualTime } from './virtual-time.ts';
import { createWork, type Work } from './work.ts';

/** The database of a simulation: the in-memory twins, and what each process sees of them. */
export interface Database {
  readonly tables: MemoryTables;
  /** While true, nothing reaches it. */
  down: boolean;
  /** What its clock is ahead of the time of the simulation, milliseconds. All processes go by it. */
  clockOffsetMs: number;
  /** What a process on this machine sees of it. */
  seenFrom(machine: Machine): DatabaseView;
}

export interface DatabaseView extends Work {
  /** Sets the clock of the machine by that of the database. @throws UnavailableError */
  synchronize(): Promise<void>;
  readonly store: Store;
  readonly groups: GroupStore;
  readonly failures: FailureStore;
}

const READ: CallFaults = { crashBefore: 'crash before read', refused: 'read refused' };
const GROUP: CallFaults = { refused: 'group call refused', lost: 'group answer lost' };
const HAND_OVER: CallFaults = {
  ...GROUP,
  crashBefore: 'crash before group change',
  crashAfter: 'crash after group change',
};

/** So many messages of each chain come once more. */
const REPEATED = 5;

export function createDatabase(time: VirtualTime, random: Random, faults: Faults): Database {
  const tables = createMemoryTables();
  const groups = createMemoryGroupStore(tables, { now: () => Math.floor(time.now() + database.clockOffsetMs) });
  const failures = createMemoryFailureStore(tables);
  const work = createWork(tables);

  const readPage = async (store: Store, ...[after, options]: Parameters<Store['readLog']>): Promise<LogPage> => {
    const page = reordered(await store.readLog(after, options), faults, random);
    if (!faults.hit('messages twice')) return page;
    const from = Object.entries(after).map(([chain, position]) => [chain, Math.max(0, position - REPEATED)]);
    const { events } = await store.readLog(Object.fromEntries(from), options);
    const before = events.filter(({ chain, chainPosition }) => chainPosition <= positionIn(after, chain));
    return { ...page, events: [...before, ...page.events] };
  };

  const seenFrom = (machine: Machine): DatabaseView => {
    const isDown = (): boolean => database.down;
    const link = createLink(machine, time, random, faults, isDown);
    const store = createMemoryStore(machine.clock, tables);
    const ports = { machine, link, time, faults, isDown };
    return {
      synchronize: async () => machine.setClock(await link.ask(async () => database.clockOffsetMs, READ)),
      store: {
        openWriter: async (name) => createSession(await link.ask(() => store.openWriter(name), READ), ports),
        loadStreams: (streams) => link.ask(() => store.loadStreams(streams), READ),
        readStream: (stream, options) => link.ask(() => store.readStream(stream, options), READ),
        readLog: (after, options) => link.ask(() => readPage(store, after, options), READ),
        head: () => link.ask(() => store.head(), READ),
        findAnswers: (keys) => link.ask(() => store.findAnswers(keys), READ),
        loadRows: (table, keys) => link.ask(() => store.loadRows(table, keys), READ),
      },
      groups: {
        join: (...args) => link.ask(() => groups.join(...args), HAND_OVER),
        enter: (...args) => link.ask(() => groups.enter(...args), HAND_OVER),
        heartbeat: (...args) => link.ask(() => groups.heartbeat(...args), GROUP),
        exchange: (...args) => link.ask(() => groups.exchange(...args), HAND_OVER),
        leave: (...args) => link.ask(() => groups.leave(...args), HAND_OVER),
      },
      failures: { retrying: (...args) => link.ask(() => failures.retrying(...args), READ) },
      workList: {
        claimDue: (options) => link.ask(() => work.workList.claimDue(options), GROUP),
        extendLeases: (...args) => link.ask(() => work.workList.extendLeases(...args), GROUP),
        find: (ref) => link.ask(() => work.workList.find(ref), READ),
      },
      dueSagas: (...args) => link.ask(() => work.dueSagas(...args), READ),
      duePurchases: (...args) => link.ask(() => work.duePurchases(...args), READ),
      dueReservations: (...args) => link.ask(() => work.dueReservations(...args), READ),
    };
  };

  const database: Database = { tables, down: false, clockOffsetMs: 0, seenFrom };
  return database;
}

/** The page in another order of those that a log may have: each chain in its own, and each cause before its effects. */
function reordered(page: LogPage, faults: Faults, random: Random): LogPage {
  const chains = new Set(page.events.map((event) => event.chain));
  if (chains.size < 2 || !faults.hit('keys reordered')) return page;
  const waiting = [...chains].map((chain) => page.events.filter((event) => event.chain === chain));
  const inPage = new Set(page.events.map((event) => event.id));
  const events: RecordedEvent[] = [];
  while (events.length < page.events.length) {
    const ready = waiting.filter(([first]) => first !== undefined && mayFollow(first, inPage, waiting));
    const next = random.pick(ready).shift()!;
    inPage.delete(next.id);
    events.push(next);
  }
  return { ...page, events };
}

/** Whether neither its cause nor an earlier event of its stream is still to come. */
function mayFollow(event: RecordedEvent, toCome: ReadonlySet<string>, waiting: readonly RecordedEvent[][]): boolean {
  const { causationid } = event.metadata;
  if (causationid !== undefined && toCome.has(causationid)) return false;
  return !waiting.some((chain) =>
    chain.some(({ aggregateId, sequence }) => aggregateId === event.aggregateId && sequence! < event.sequence!),
  );
}
