import { randomBytes } from 'node:crypto';
import type { Journal } from './journal.ts';
import { createTable, type Page, type Table } from './table.ts';

export type Status = 'pending' | 'succeeded' | 'declined';

/** What charges and refunds have in common. Amounts are in minor units, times in milliseconds since 1970. */
interface Operation {
  readonly id: string;
  readonly idempotencyKey: string;
  /** The caller's own name for it: the payment's or the refund's id. */
  readonly reference: string;
  readonly amountMinor: number;
  readonly currency: string;
  readonly createdAt: number;
  status: Status;
  /** Stable code of the outcome; null while it is pending. */
  reason: string | null;
}

export interface Charge extends Operation {
  readonly kind: 'charge';
  /** Name of the card token. */
  readonly token: string;
  readonly refunds: Refund[];
}

export interface Refund extends Operation {
  readonly kind: 'refund';
  readonly charge: Charge;
}

export type NewCharge = Omit<Charge, 'id' | 'kind' | 'refunds'>;
export type NewRefund = Omit<Refund, 'id' | 'kind'>;

/** Everything the gateway took and gave back, kept in memory and, where a journal is given, in its file. */
export interface GatewayRecord {
  readonly charges: Pick<Table<Charge>, 'byId' | 'byKey' | 'full' | 'size'>;
  readonly refunds: Pick<Table<Refund>, 'byId' | 'byKey' | 'full' | 'size'>;
  /** The latest charge with this reference. */
  chargeByReference(reference: string): Charge | undefined;
  addCharge(values: NewCharge): Charge;
  addRefund(values: NewRefund): Refund;
  /** Gives a pending operation its outcome. */
  settle(operation: Charge | Refund, status: Status, reason: string): void;
  chargePage(cursor: string | null, limit: number): Page<Charge> | undefined;
  refundPage(cursor: string | null, limit: number): Page<Refund> | undefined;
  /** Takes back one line that `journal` kept. */
  restore(line: object): void;
  /** Every operation without an outcome. */
  pending(): (Charge | Refund)[];
  clear(): void;
}

type ChargeLine = Omit<Charge, 'kind' | 'refunds'>;
type RefundLine = Omit<Refund, 'kind' | 'charge'> & { readonly chargeId: string };
interface SettledLine {
  readonly id: string;
  readonly status: Status;
  readonly reason: string;
}
interface Line {
  readonly charge?: ChargeLine;
  readonly refund?: RefundLine;
  readonly settled?: SettledLine;
}

/**
 * An empty record.
 * @param journal asked for at each write, because the record is filled from the journal's file before it exists
 */
export function createRecord(
  limits: { maxCharges: number; maxRefunds: number },
  journal: () => Journal,
): GatewayRecord {
  const charges = createTable<Charge>('ch', limits.maxCharges);
  const refunds = createTable<Refund>('re', limits.maxRefunds);
  const latestByReference = new Map<string, Charge>();
  let run = newRun();

  function keepCharge(line: ChargeLine): Charge {
    const charge: Charge = { kind: 'charge', ...line, refunds: [] };
    charges.add(charge);
    latestByReference.set(charge.reference, charge);
    return charge;
  }

  function keepRefund({ chargeId, ...line }: RefundLine): Refund {
    const refund: Refund = { kind: 'refund', ...line, charge: mustFind(charges, chargeId) };
    refunds.add(refund);
    refund.charge.refunds.push(refund);
    return refund;
  }

  function addCharge(values: NewCharge): Charge {
    const line: ChargeLine = { id: charges.nextId(run), ...values };
    journal().append({ charge: line });
    return keepCharge(line);
  }

  function addRefund({ charge, ...values }: NewRefund): Refund {
    const line: RefundLine = { id: refunds.nextId(run), chargeId: charge.id, ...values };
    journal().append({ refund: line });
    return keepRefund(line);
  }

  function settle(operation: Charge | Refund, status: Status, reason: string): void {
    operation.status = status;
    operation.reason = reason;
    const settled: SettledLine = { id: operation.id, status, reason };
    journal().append({ settled });
  }

  function restore(line: Line): void {
    if (line.charge !== undefined) keepCharge(line.charge);
    else if (line.refund !== undefined) keepRefund(line.refund);
    else if (line.settled !== undefined) {
      const { id, status, reason } = line.settled;
      const operation = id.startsWith('ch_') ? mustFind(charges, id) : mustFind(refunds, id);
      operation.status = status;
      operation.reason = reason;
    } else throw new Error('it is neither a charge, nor a refund, nor an outcome');
  }

  function clear(): void {
    journal().truncate();
    charges.clear();
    refunds.clear();
    latestByReference.clear();
    run = newRun();
  }

  return {
    charges,
    refunds,
    chargeByReference: (reference) => latestByReference.get(reference),
    addCharge,
    addRefund,
    settle,
    chargePage: charges.page,
    refundPage: refunds.page,
    restore,
    pending: () => [...charges.all(), ...refunds.all()].filter((operation) => operation.status === 'pending'),
    clear,
  };
}

/** Part of every id, new for each run and after each reset, so that an id is never given twice. */
function newRun(): string {
  return randomBytes(4).toString('hex');
}

function mustFind<T extends Charge | Refund>(table: Table<T>, id: string): T {
  const found = table.byId(id);
  if (found === undefined) throw new Error(`it names ${id}, which is not in the record`);
  return found;
}
