import type { Lane } from '#kernel/bus/topology.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { CHAIN_START, link } from '#kernel/event-store/hash-chain.ts';
import { compositeKey, type MemoryTables, type StoredEvent } from '#kernel/event-store/memory/tables.ts';
import { WALLET_TABLE, type WalletRow } from '#services/wallets/projections.ts';
import { type Auditor, createAuditor } from '#src/invariants/auditor.ts';
import type { Finding } from '#src/invariants/finding.ts';

/** Looks at what is new in the tables after every step. */
export interface TableAudit {
  readonly auditor: Auditor;
  /** The events since the last look, in the order of the log, and what they break. */
  look(): { readonly events: readonly RecordedEvent[]; readonly findings: readonly Finding[] };
}

interface Seen {
  count: number;
  hash: string;
}

export function createTableAudit(tables: MemoryTables, lane: Lane): TableAudit {
  const auditor = createAuditor(lane);
  const seen = new Map<number, Seen>();
  let lastSequence = 0;

  const readNew = (findings: Finding[]): StoredEvent[] => {
    const found: StoredEvent[] = [];
    for (const [number, chain] of tables.chains) {
      const before = seen.get(number) ?? { count: 0, hash: CHAIN_START };
      seen.set(number, before);
      for (; before.count < chain.events.length; before.count++) {
        const stored = chain.events[before.count]!;
        if (!isWhole(stored, before)) findings.push(brokenChain(stored));
        before.hash = stored.hash;
        found.push(stored);
      }
    }
    return found.sort((a, b) => a.event.sequence! - b.event.sequence!);
  };

  const look: TableAudit['look'] = () => {
    if (tables.lastSequence === lastSequence) return NOTHING;
    lastSequence = tables.lastSequence;
    const findings: Finding[] = [];
    const events = readNew(findings).map(({ event }) => event);
    for (const event of events) findings.push(...auditor.observe(event));
    const wallets = new Set(events.filter(({ aggregateType }) => aggregateType === 'wallet').map((e) => e.aggregateId));
    for (const id of wallets) findings.push(...checkBalance(id, auditor, tables));
    return { events, findings };
  };

  return { auditor, look };
}

const NOTHING = { events: [], findings: [] } as const;

function isWhole({ event, storedAt, data, metadata, hash }: StoredEvent, { count, hash: before }: Seen): boolean {
  return event.chainPosition === count + 1 && link(before, event, storedAt, data, metadata) === hash;
}

function brokenChain({ event }: StoredEvent): Finding {
  const message = `chain ${event.chain} is broken at position ${event.chainPosition} (event ${event.id})`;
  return { invariant: 'chain_whole', message, eventId: event.id };
}

/** The balance is written with the movement, so it is right after every commit. */
function checkBalance(id: string, auditor: Auditor, tables: MemoryTables): readonly Finding[] {
  const facts = auditor.wallet(id);
  if (facts === undefined) return [];
  const text = tables.rows.get(WALLET_TABLE.name)?.get(compositeKey(id));
  const row: WalletRow | undefined = text === undefined ? undefined : JSON.parse(text);
  if (row?.balance_minor === facts.balanceMinor && row.version === facts.position) return [];
  const message = `wallet ${id}: the read model says ${row?.balance_minor} at ${row?.version}, its events ${facts.balanceMinor} at ${facts.position}`;
  return [{ invariant: 'read_model', message, subject: id }];
}
