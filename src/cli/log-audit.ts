import { hasLiveMember } from '#kernel/bus/postgres/group-store.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { distance, LOG_START, type LogPosition } from '#kernel/core/log-position.ts';
import { eventsBetween } from '#kernel/event-store/postgres/events-between.ts';
import { loadStreams, readHead, readStream } from '#kernel/event-store/postgres/read.ts';
import type { Store } from '#kernel/event-store/store.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import { dueSagas } from '#services/payments/queries.ts';
import { eventsOrNone, handledByPayments, lastEventOf, memoryLimits, PAYMENTS } from '#src/composition/monitor.ts';
import { createPast } from '#src/composition/past.ts';
import { readLanes, type Topologies } from '#src/composition/topology.ts';
import type { Config } from '#src/config.ts';
import { createAuditor } from '#src/invariants/auditor.ts';
import type { Finding } from '#src/invariants/finding.ts';
import { createBoundedMemory } from '#src/invariants/memory.ts';
import { inspect, isReadable } from '#src/invariants/monitor.ts';
import { findingOf, MAX_SAGAS } from '#src/invariants/owners.ts';
import { createSettlementCheck } from '#src/invariants/settlement.ts';

const PAGE_EVENTS = 1000;
/** More do not help anybody. */
const MAX_FINDINGS = 1000;

/**
 * Shows the whole log, as far as it goes now, to the auditor of the invariants, in its order and with a memory as limited
 * as the monitor's; then looks for what should have come to an end and has not. Hashes are `verifyStore`'s matter.
 * @param onProgress events passed, of how many
 */
export async function auditLog(
  sql: Sql,
  topologies: Topologies,
  config: Config,
  onProgress: (passed: number, total: number) => void,
): Promise<readonly Finding[]> {
  const lane = await readLanes(sql);
  const store = readerOf(sql);
  const past = createPast(store, sql);
  const memory = createBoundedMemory(lane, memoryLimits(config, PAGE_EVENTS), past);
  const auditor = createAuditor(lane, memory);
  // Time stands still until all has been seen.
  const time = { now: 0 };
  const settlement = createSettlementCheck(
    { graceMs: 1, maxLooks: Number.POSITIVE_INFINITY },
    {
      auditor,
      paymentEvents: (id) => eventsOrNone(store, id),
      handled: () => handledByPayments(sql, topologies),
      clock: { now: () => time.now },
    },
  );
  const findings: Finding[] = [];
  await readAll(sql, onProgress, async (events, position) => {
    const readable = events.filter(isReadable);
    await memory.recall(readable, position);
    for (const event of readable) findings.push(...inspect(event, auditor));
    findings.splice(MAX_FINDINGS);
    await settlement.look(readable);
  });
  time.now = 1;
  return [...findings, ...(await settlement.look([])), ...(await ownerless(sql, store, config))];
}

type Reader = Pick<Store, 'readStream' | 'loadStreams'>;

function readerOf(sql: Sql): Reader {
  return {
    readStream: (stream, options) => readStream(sql, stream, options),
    loadStreams: async (streams) => (streams.length === 0 ? [] : loadStreams(sql, streams)),
  };
}

/** @param take is given the events and the position that they follow on */
async function readAll(
  sql: Sql,
  onProgress: (passed: number, total: number) => void,
  take: (events: readonly RecordedEvent[], position: LogPosition) => Promise<void>,
): Promise<void> {
  const head = await readHead(sql);
  const total = distance(LOG_START, head);
  const position: Record<number, number> = {};
  for await (const { events, passed } of eventsBetween(sql, LOG_START, head, undefined, PAGE_EVENTS)) {
    await take(events, { ...position });
    for (const event of events) position[event.chain] = event.chainPosition;
    onProgress(passed, total);
  }
}

/** Only while the payments service runs: while nothing runs, everything waits for it to come back. */
async function ownerless(sql: Sql, store: Reader, { leaseMs, monitorGraceMs }: Config): Promise<readonly Finding[]> {
  if (!(await hasLiveMember(sql, PAYMENTS, leaseMs))) return [];
  const due = await dueSagas(sql, Date.now() - monitorGraceMs, MAX_SAGAS);
  return Promise.all(due.map(async (id) => findingOf(id, await lastEventOf(store, id), monitorGraceMs)));
}
