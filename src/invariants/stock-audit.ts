import type { RecordedEvent } from '#kernel/core/event.ts';
import { type Finding, nameOf } from './finding.ts';

/** What is known of the stock of one product, in units. */
export interface StockFacts {
  readonly onHand: number;
  readonly reserved: number;
  /** What is kept, by purchase; undefined while not all of it is known. */
  readonly reservations: ReadonlyMap<string, number> | undefined;
}

export const NO_STOCK_YET: StockFacts = { onHand: 0, reserved: 0, reservations: new Map() };

/**
 * The stock of a product after an event of its stream.
 * @param before undefined: its past is not known
 * @returns the facts, and what the event breaks
 */
export function auditStock(
  before: StockFacts | undefined,
  event: RecordedEvent,
): { readonly facts: StockFacts; readonly findings: readonly Finding[] } {
  const { on_hand: onHand, reserved, available } = event.data;
  const findings: Finding[] = [];
  const broken = (what: string): void => {
    const message = `stock ${event.aggregateId}: ${what} (${nameOf(event)})`;
    findings.push({ invariant: 'stock_adds_up', message, eventId: event.id, subject: event.aggregateId });
  };
  const reservations = reservationsAfter(before, event, broken);
  if (before !== undefined && onHand !== before.onHand + addedBy(event))
    broken(`${before.onHand} and ${addedBy(event)} are not ${onHand} on hand`);
  if (available !== onHand - reserved || available < 0 || reserved < 0)
    broken(`${available} are available of ${onHand} on hand and ${reserved} reserved`);
  const kept = reservations && [...reservations.values()].reduce((sum, quantity) => sum + quantity, 0);
  if (kept !== undefined && kept !== reserved) broken(`${reserved} are reserved, the open reservations keep ${kept}`);
  return { facts: { onHand, reserved, reservations: reserved === 0 ? new Map() : reservations }, findings };
}

function addedBy({ type, data }: RecordedEvent): number {
  if (type === 'inventory.stock.updated') return data.change;
  return type === 'inventory.committed' ? -data.lines[0].quantity : 0;
}

function reservationsAfter(
  before: StockFacts | undefined,
  { type, data }: RecordedEvent,
  broken: (what: string) => void,
): ReadonlyMap<string, number> | undefined {
  if (before?.reservations === undefined) return undefined;
  const reservations = new Map(before.reservations);
  const { purchase_id: purchase } = data;
  switch (type) {
    case 'inventory.reserved':
      if (reservations.has(purchase)) broken(`reserved twice for purchase ${purchase}`);
      reservations.set(purchase, data.lines[0].quantity);
      break;
    case 'inventory.released':
      if (!reservations.has(purchase)) broken(`released what was not kept for purchase ${purchase}`);
      reservations.delete(purchase);
      break;
    case 'inventory.committed':
      reservations.delete(purchase);
      break;
  }
  return reservations;
}
