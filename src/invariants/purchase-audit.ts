import type { RecordedEvent } from '#kernel/core/event.ts';
import { type Finding, nameOf } from './finding.ts';
import { keptMinor, type PaymentFacts } from './payment-audit.ts';

/** What is known of one purchase from all streams that speak of it. */
export interface PurchaseFacts {
  readonly id: string;
  readonly paymentId: string;
  /** Of one unit, minor units, and how many were bought; by product. */
  readonly lines: ReadonlyMap<string, { readonly priceMinor: number; readonly quantity: number }>;
  final: 'COMPLETED' | 'CANCELLED' | null;
  confirmed: boolean;
  /** Units that left the house and have not come back, by product. */
  readonly out: Map<string, number>;
  /** Products that units are kept of. */
  readonly kept: Set<string>;
}

/**
 * Takes an event into the facts of the purchase that it speaks of.
 * @param before undefined: its past is not known, or it begins with the event
 * @param payment the facts of its payment, if there is one yet
 * @returns the facts, undefined while they are not known; and what the event breaks
 */
export function auditPurchase(
  before: PurchaseFacts | undefined,
  event: RecordedEvent,
  payment: (id: string) => PaymentFacts | undefined,
): { readonly facts: PurchaseFacts | undefined; readonly findings: readonly Finding[] } {
  if (event.type === 'purchase.created') {
    const findings = before === undefined ? [] : [brokenBy(event, before.id, 'created twice')];
    return { facts: begin(event), findings };
  }
  if (before === undefined) return { facts: undefined, findings: [] };
  const wrong = take(before, event, payment(before.paymentId));
  return { facts: before, findings: wrong.map((what) => brokenBy(event, before.id, what)) };
}

/** The purchase that an event speaks of. */
export function purchaseOf({ data }: RecordedEvent): string | undefined {
  return data.purchase_id;
}

function begin({ data }: RecordedEvent): PurchaseFacts {
  return {
    id: data.purchase_id,
    paymentId: data.payment_id,
    lines: new Map(
      data.lines.map((line: { product_id: string; quantity: number; unit_price_minor: number }) => [
        line.product_id,
        { quantity: line.quantity, priceMinor: line.unit_price_minor },
      ]),
    ),
    final: null,
    confirmed: false,
    out: new Map(),
    kept: new Set(),
  };
}

/** @returns what is wrong with it */
function take(facts: PurchaseFacts, event: RecordedEvent, payment: PaymentFacts | undefined): readonly string[] {
  const { type, data, aggregateId } = event;
  switch (type) {
    case 'inventory.reserved':
      facts.kept.add(aggregateId);
      return [];
    case 'inventory.released':
      facts.kept.delete(aggregateId);
      return [];
    case 'inventory.committed': {
      facts.kept.delete(aggregateId);
      move(facts, aggregateId, data.lines[0].quantity);
      return facts.confirmed ? outOfLine(facts, aggregateId) : [`${aggregateId} left the house before it was paid`];
    }
    case 'inventory.stock.updated':
      move(facts, aggregateId, -data.change);
      return outOfLine(facts, aggregateId);
    case 'purchase.confirmed':
      facts.confirmed = true;
      // The payment may have been seen before this auditor began to look.
      return payment === undefined || payment.final === 'APPROVED'
        ? []
        : [`confirmed, its payment is ${payment.final}`];
    case 'purchase.completed':
      return [...finish(facts, 'COMPLETED'), ...missing(facts)];
    case 'purchase.cancelled':
      return facts.final === 'COMPLETED' ? reopen(facts) : finish(facts, 'CANCELLED');
    default:
      return [];
  }
}

function move(facts: PurchaseFacts, product: string, quantity: number): void {
  facts.out.set(product, (facts.out.get(product) ?? 0) + quantity);
}

function outOfLine({ out, lines }: PurchaseFacts, product: string): readonly string[] {
  const quantity = out.get(product) ?? 0;
  const bought = lines.get(product)?.quantity ?? 0;
  return quantity < 0 || quantity > bought ? [`${quantity} of ${product} are out, ${bought} were bought`] : [];
}

function missing({ out, lines }: PurchaseFacts): readonly string[] {
  const short = [...lines].filter(([product, { quantity }]) => out.get(product) !== quantity);
  return short.map(([product, { quantity }]) => `completed with ${out.get(product) ?? 0} of ${quantity} of ${product}`);
}

function finish(facts: PurchaseFacts, status: NonNullable<PurchaseFacts['final']>): readonly string[] {
  const before = facts.final;
  facts.final = status;
  return before === null ? [] : [`${status} after ${before}`];
}

/** A completed purchase may be cancelled, once. */
function reopen(facts: PurchaseFacts): readonly string[] {
  facts.final = 'CANCELLED';
  return [];
}

/** What is wrong with a purchase that nothing more is expected of. */
export function auditPurchaseAtRest(facts: PurchaseFacts, payment: PaymentFacts | undefined): readonly Finding[] {
  const wrong: string[] = [];
  if (facts.final === null) wrong.push('it has no final status');
  if (facts.kept.size > 0) wrong.push(`units are kept for it still: ${[...facts.kept].join(', ')}`);
  const worth = [...facts.out].reduce(
    (sum, [id, quantity]) => sum + quantity * (facts.lines.get(id)?.priceMinor ?? 0),
    0,
  );
  const kept = payment === undefined ? 0 : keptMinor(payment);
  if (facts.final === 'CANCELLED' && worth > 0) wrong.push(`cancelled, and units worth ${worth} are out`);
  // Less may be kept: anybody can refund a payment.
  if (facts.final !== null && kept > worth) wrong.push(`${facts.final}: ${kept} are kept for units worth ${worth}`);
  return wrong.map((what) => ({
    invariant: 'paid_and_delivered',
    message: `purchase ${facts.id}: ${what}`,
    subject: facts.id,
  }));
}

function brokenBy(event: RecordedEvent, id: string, what: string): Finding {
  const message = `purchase ${id}: ${what} (${nameOf(event)})`;
  return { invariant: 'paid_and_delivered', message, eventId: event.id, subject: id };
}
