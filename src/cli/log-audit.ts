import { hasLiveMember } from '#kernel/bus/postgres/group-store.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { distance, LOG_START, type LogPosition, positionIn } from '#kernel/core/log-position.ts';
import { eventsBetween, type LogStretch } from '#kernel/event-store/postgres/events-between.ts';
import { dueSagas } from '#services/payments/queries.ts';
import type { Books } from '#src/composition/books.ts';
import { eventsOrNone, lastEventOf, memoryLimits, PAYMENTS } from '#src/composition/monitor.ts';
import { createPast } from '#src/composition/past.ts';
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
  books: Books,
  config: Config,
  onProgress: (passed: number, total: number) => void,
): Promise<readonly Finding[]> {
  const lane = await books.lanes();
  const past = createPast(books);
  const memory = createBoundedMemory(lane, memoryLimits(config, PAGE_EVENTS), past);
  const auditor = createAuditor(lane, memory);
  // Time stands still until all has been seen.
  const time = { now: 0 };
  const settlement = createSettlementCheck(
    { graceMs: 1, maxLooks: Number.POSITIVE_INFINITY },
    {
      auditor,
      paymentEvents: (id) => eventsOrNone(books.streams, id),
      handled: () => books.handledBy('payments'),
      clock: { now: () => time.now },
    },
  );
  const findings: Finding[] = [];
  await readAll(books, onProgress, async (events, position) => {
    const readable = events.filter(isReadable);
    await memory.recall(readable, position);
    for (const event of readable) findings.push(...inspect(event, auditor));
    findings.splice(MAX_FINDINGS);
    await settlement.look(readable);
  });
  time.now = 1;
  return [...findings, ...(await settlement.look([])), ...(await ownerless(books, config))];
}

/** @param take is given the events and the position that they follow on */
async function readAll(
  { databases, log }: Books,
  onProgress: (passed: number, total: number) => void,
  take: (events: readonly RecordedEvent[], position: LogPosition) => Promise<void>,
): Promise<void> {
  const head = await log.head();
  const total = distance(LOG_START, head);
  const position: Record<number, number> = {};
  const [only, another] = databases.all;
  const pages =
    another === undefined ? eventsBetween(only!.pool, LOG_START, head, undefined, PAGE_EVENTS) : pagesOf(log, head);
  for await (const { events, passed } of pages) {
    await take(events, { ...position });
    for (const event of events) position[event.chain] = event.chainPosition;
    onProgress(passed, total);
  }
}

/** Several logs by their pages; what came after the head does not belong to it. */
async function* pagesOf(log: Books['log'], head: LogPosition): AsyncGenerator<LogStretch> {
  for (let position = LOG_START, atEnd = false; !atEnd; ) {
    const page = await log.readLog(position, { limit: PAGE_EVENTS });
    position = page.next;
    const left = distance(position, head);
    atEnd = page.atEnd || left === 0;
    const events = page.events.filter(({ chain, chainPosition }) => chainPosition <= positionIn(head, chain));
    yield { events, passed: distance(LOG_START, head) - left };
  }
}

/** Only while the payments service runs: while nothing runs, everything waits for it to come back. */
async function ownerless({ sqlOf, streams }: Books, { leaseMs, monitorGraceMs }: Config): Promise<readonly Finding[]> {
  const sql = sqlOf('payments');
  if (!(await hasLiveMember(sql, PAYMENTS, leaseMs))) return [];
  const due = await dueSagas(sql, Date.now() - monitorGraceMs, MAX_SAGAS);
  return Promise.all(due.map(async (id) => findingOf(id, await lastEventOf(streams, id), monitorGraceMs)));
}
