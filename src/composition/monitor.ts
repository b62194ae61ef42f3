import { createConsumer } from '#kernel/bus/consumer.ts';
import { createTail, type Tail } from '#kernel/bus/tail.ts';
import type { Lane } from '#kernel/bus/topology.ts';
import { RequestError } from '#kernel/core/errors.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { loadRows } from '#kernel/event-store/postgres/read.ts';
import type { Store } from '#kernel/event-store/store.ts';
import type { Log } from '#kernel/observability/log.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import { keepFindings } from '#services/metrics/queries.ts';
import { PAYMENT } from '#services/payments/contract.ts';
import { dueSagas } from '#services/payments/queries.ts';
import type { Config, ServiceName } from '#src/config.ts';
import { type Auditor, createAuditor } from '#src/invariants/auditor.ts';
import { createBalanceCheck } from '#src/invariants/balances.ts';
import type { Finding } from '#src/invariants/finding.ts';
import { createBoundedMemory, type MemoryLimits, type Past } from '#src/invariants/memory.ts';
import { type Check, createMonitor, type Monitor } from '#src/invariants/monitor.ts';
import { createOwnerCheck } from '#src/invariants/owners.ts';
import { createSampleCheck } from '#src/invariants/samples.ts';
import { createSettlementCheck } from '#src/invariants/settlement.ts';
import { eventsOfPayment } from '#src/payment-events.ts';
import type { Books } from './books.ts';
import { createJob } from './jobs.ts';
import type { Kernel } from './kernel.ts';
import { createPast } from './past.ts';
import type { serviceDefinitions } from './services.ts';

interface Parts {
  readonly config: Config;
  readonly books: Books;
  /** On the database of the metrics service, where findings and the monitor's own position are kept. */
  readonly kernel: Kernel;
  readonly definitions: ReturnType<typeof serviceDefinitions>;
  readonly log: Log;
}

/** The monitor of the invariants, as a part of a process: one of them in the whole system looks, the others stand by. */
export interface InvariantMonitor {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Events that it has not looked at. */
  lag(): Promise<number>;
}

/** The share of its time that the event loop may work before the monitor steps back. */
const BUSY_SHARE = 0.5;
/** Payments whose money is not where it belongs that are read again after a page. */
const MAX_SETTLEMENT_LOOKS = 20;
/** The consumer by which the payments service follows the others. */
export const PAYMENTS = 'payments';
/** Looks for sagas that nobody drives come so often within the grace. */
const OWNER_LOOKS = 4;

export function invariantMonitor(parts: Parts): InvariantMonitor {
  const { config, books, kernel, log } = parts;
  const { clock } = kernel.backend;
  // What this process commits is read back from the log like everything else: what was stored is what counts.
  const tail = createTail();
  const past = createPast(books);
  const monitor = monitorOf(parts, tail, past);
  let endBeats: () => void = () => undefined;
  const pass = (): Promise<void> => {
    tail.wake();
    return monitor.pass();
  };
  const job = createJob('monitor', config.monitorPauseMs, pass, log, clock);

  return {
    start: async () => {
      await monitor.start();
      endBeats = clock.every(config.heartbeatMs, () => {
        monitor.heartbeat().catch((error: Error) => log.warn({ service: 'monitor', error }, 'heartbeat failed'));
      });
      job.start();
    },
    stop: async () => {
      endBeats();
      monitor.giveUp();
      await job.stop();
      await monitor
        .stop()
        .catch((error: Error) => log.warn({ service: 'monitor', error }, 'could not leave the consumer group'));
    },
    lag: () => monitor.lag(),
  };
}

function monitorOf(parts: Parts, tail: Tail, past: Past): Monitor {
  const { config, books, kernel, log } = parts;
  const { backend } = kernel;
  let lanes: Lane = () => undefined;
  const lane: Lane = (event) => lanes(event);
  const { store, groups, clock } = backend;
  /** What is on a page was not handled on topologies that the store came to later. */
  const readLog: Store['readLog'] = async (...args) => {
    const page = await books.log.readLog(...args);
    lanes = await books.lanes();
    return page;
  };
  const memory = createBoundedMemory(lane, memoryLimits(config, config.monitorPageEvents), past);
  const member = { name: 'monitor', member: config.instance, types: [], exclusive: true, leaseMs: config.leaseMs };
  const consumer = createConsumer(
    // The next page is read when the one before has been looked at.
    { ...member, maxInbox: 1, fetchSize: config.monitorPageEvents },
    { store: { readLog, head: books.log.head }, groups, tail, topologies: kernel.topologies },
  );
  const auditor = createAuditor(lane, memory);
  const settings = { eventsPerSecond: config.monitorEventsPerSecond, pageEvents: config.monitorPageEvents };
  return createMonitor(settings, {
    store,
    consumer,
    memory,
    auditor,
    checkSeal: books.log.check,
    checks: checksOf(parts, auditor),
    keep: (findings) => keep(books.sqlOf('metrics'), findings, log),
    isBusy: watchLoop(),
    clock,
  });
}

function checksOf({ config, books, kernel, definitions }: Parts, auditor: Auditor): readonly Check[] {
  const { clock, random } = kernel.backend;
  const { monitorGraceMs: graceMs, monitorSamples: perPage } = config;
  const { streams } = books;
  const lastEvent = (id: string) => lastEventOf(streams, id);
  const due = (now: number, limit: number) => dueSagas(books.sqlOf('payments'), now, limit);
  const readerOf = (service: ServiceName) => ({ ...streams, loadRows: rowsOf(books.sqlOf(service)) });
  const payments = { aggregate: PAYMENT, projections: definitions.get('payments')!.projections };
  return [
    createOwnerCheck({ graceMs, everyMs: graceMs / OWNER_LOOKS }, { dueSagas: due, lastEvent, clock }),
    createSampleCheck(payments, { perPage, graceMs }, { store: readerOf('payments'), clock, random }),
    createBalanceCheck(perPage, { store: readerOf('wallets'), random }),
    createSettlementCheck(
      { graceMs, maxLooks: MAX_SETTLEMENT_LOOKS },
      {
        auditor,
        paymentEvents: (id) => eventsOrNone(streams, id),
        handled: () => books.handledBy('payments'),
        clock,
      },
    ),
  ];
}

/** @returns whether the event loop has had more than its share to do since the call before */
function watchLoop(): () => boolean {
  let before = performance.eventLoopUtilization();
  return () => {
    const { utilization } = performance.eventLoopUtilization(before);
    before = performance.eventLoopUtilization();
    return utilization > BUSY_SHARE;
  };
}

/** What an auditor may remember that is shown pages of so many events. */
export function memoryLimits({ monitorPayments, monitorWallets }: Config, pageEvents: number): MemoryLimits {
  return { maxPayments: Math.max(monitorPayments, pageEvents), maxWallets: Math.max(monitorWallets, pageEvents) };
}

/** The last event of a payment's own stream. */
export async function lastEventOf(
  store: Pick<Store, 'readStream'>,
  paymentId: string,
): Promise<RecordedEvent | undefined> {
  const [event] = await store.readStream({ type: PAYMENT, id: paymentId }, { limit: 1, backwards: true });
  return event;
}

/** Every event of a payment; none when there is no such payment. */
export async function eventsOrNone(store: Parameters<typeof eventsOfPayment>[0], id: string) {
  try {
    return await eventsOfPayment(store, id);
  } catch (cause) {
    if (cause instanceof RequestError) return [];
    throw cause;
  }
}

function rowsOf(sql: Sql): Store['loadRows'] {
  return (table, keys) => loadRows(sql, table, keys);
}

/** What is new is an error of the log, once: somebody has to look at it. */
async function keep(sql: Sql, findings: readonly Finding[], log: Log): Promise<void> {
  for (const { id, invariant, message, event_id } of await keepFindings(sql, findings))
    log.error({ service: 'monitor', finding: id, invariant, event_id }, message);
}
