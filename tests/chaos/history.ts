import { lanesOf } from '#kernel/bus/topology.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { LOG_START } from '#kernel/core/log-position.ts';
import { eventsBetween, type LogStretch } from '#kernel/event-store/postgres/events-between.ts';
import { readHead } from '#kernel/event-store/postgres/read.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import { type Auditor, createAuditor } from '#src/invariants/auditor.ts';
import type { Finding } from '#src/invariants/finding.ts';
import { topologyOf } from '#src/topologies.ts';

const PAGE = 2000;

/** The log of a platform at rest, folded by nothing but what its events say. */
export interface History {
  /** Knows every payment, wallet and account. */
  readonly auditor: Auditor;
  /** The invariants that the log breaks. */
  readonly findings: readonly Finding[];
  /** The key under which the client asked for it, by payment; from the payment's metadata. */
  readonly payments: ReadonlyMap<string, string>;
  /** The same by refund; from the refund's reason. */
  readonly refunds: ReadonlyMap<string, string>;
  /** How often each reference of a direct movement occurs. */
  readonly references: ReadonlyMap<string, number>;
}

/** Reads the whole log, in the order of its sequence numbers. */
export async function readHistory(sql: Sql): Promise<History> {
  const found = await sql.query<{ type: string }>('SELECT DISTINCT event_type AS type FROM events');
  const types = found.map(({ type }) => type);
  return historyOf(eventsBetween(sql, LOG_START, await readHead(sql), types, PAGE));
}

type Stretch = Pick<LogStretch, 'events'>;

/** @param log stretches that follow one another */
export async function historyOf(log: AsyncIterable<Stretch> | Iterable<Stretch>): Promise<History> {
  const auditor = createAuditor(lanesOf([topologyOf({})]));
  const findings: Finding[] = [];
  const requests: Requests = { payments: new Map(), refunds: new Map(), references: new Map() };
  for await (const { events } of log) {
    for (const event of events) {
      findings.push(...auditor.observe(event));
      noteRequest(requests, event);
    }
  }
  findings.push(...auditor.atRest());
  return { auditor, findings, ...requests };
}

interface Requests {
  readonly payments: Map<string, string>;
  readonly refunds: Map<string, string>;
  readonly references: Map<string, number>;
}

/** Notes by which request of a client an event came about, where it says so. */
function noteRequest({ payments, refunds, references }: Requests, { type, data }: RecordedEvent): void {
  // A payment without a key is under its id, which no client was promised as a key.
  if (type === 'payments.created') payments.set(data.id, data.metadata?.key ?? data.id);
  if (type === 'payments.refund.requested') refunds.set(data.refund_id, data.reason);
  const moves = type === 'wallet.debited' || type === 'wallet.credited';
  if (moves && data.reference !== undefined) references.set(data.reference, (references.get(data.reference) ?? 0) + 1);
}
