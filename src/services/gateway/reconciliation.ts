import type { BelievedCharge } from './queries.ts';

/** A charge as the gateway's own record shows it. Amounts in minor units. */
export interface RecordedCharge {
  /** The payment's id. */
  readonly reference: string;
  readonly currency: string;
  readonly amount_minor: number;
  /** Whether the money was taken. */
  readonly taken: boolean;
  readonly refunded_minor: number;
}

/** One payment about which the two sides do not say the same. */
export interface Discrepancy {
  readonly payment_id: string;
  /** What the gateway says, by currency; several charges of one payment are summed. */
  readonly gateway: Moved;
  readonly platform: Moved;
  /** True when it may still settle: the platform knows that it does not know. */
  readonly open: boolean;
}

/** Money moved, in minor units of each currency; zero amounts are left out. */
export interface Moved {
  readonly taken: Readonly<Record<string, number>>;
  readonly refunded: Readonly<Record<string, number>>;
}

/**
 * Compares what the gateway took and gave back with what the platform believes, payment by payment.
 * @param charges the gateway's whole record, declined charges included
 * @param believed the platform's, of the same time
 * @returns what differs, ordered by payment; empty when every cent is explained
 */
export function reconcile(
  charges: Iterable<RecordedCharge>,
  believed: Iterable<BelievedCharge>,
): readonly Discrepancy[] {
  const gateway = new Map<string, MutableMoved>();
  for (const { reference, currency, amount_minor, taken, refunded_minor } of charges) {
    add(entryOf(gateway, reference), currency, taken ? amount_minor : 0, refunded_minor);
  }
  const platform = new Map<string, MutableMoved>();
  const open = new Set<string>();
  for (const { payment_id, currency, taken_minor, refunded_minor, open: isOpen } of believed) {
    add(entryOf(platform, payment_id), currency, taken_minor, refunded_minor);
    if (isOpen) open.add(payment_id);
  }
  const ids = [...new Set([...gateway.keys(), ...platform.keys()])].sort();
  return ids
    .map((id) => ({
      payment_id: id,
      gateway: gateway.get(id) ?? nothing(),
      platform: platform.get(id) ?? nothing(),
      open: open.has(id),
    }))
    .filter(
      (pair) =>
        !isSame(pair.gateway.taken, pair.platform.taken) || !isSame(pair.gateway.refunded, pair.platform.refunded),
    );
}

interface MutableMoved {
  readonly taken: Record<string, number>;
  readonly refunded: Record<string, number>;
}

function nothing(): MutableMoved {
  return { taken: {}, refunded: {} };
}

function entryOf(map: Map<string, MutableMoved>, id: string): MutableMoved {
  const found = map.get(id) ?? nothing();
  map.set(id, found);
  return found;
}

function add(moved: MutableMoved, currency: string, taken: number, refunded: number): void {
  if (taken !== 0) moved.taken[currency] = (moved.taken[currency] ?? 0) + taken;
  if (refunded !== 0) moved.refunded[currency] = (moved.refunded[currency] ?? 0) + refunded;
}

function isSame(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): boolean {
  const currencies = Object.keys(a);
  return currencies.length === Object.keys(b).length && currencies.every((currency) => a[currency] === b[currency]);
}
