import { compositeKey, type MemoryTables } from '#kernel/event-store/memory/tables.ts';
import type { OperationRow } from '#services/gateway/projections.ts';
import type { ClaimedOperation, ClaimOptions, OperationRef, WorkList } from '#services/gateway/queries.ts';
import { RESERVATION_TABLE, type ReservationRow } from '#services/inventory/projections.ts';
import type { DueReservation } from '#services/inventory/queries.ts';
import { REFUND_TABLE, type RefundRow, SAGA_TABLE, type SagaRow } from '#services/payments/projections.ts';
import { PURCHASE_TABLE, type PurchaseRow } from '#services/purchases/projections.ts';
import { OpenRows } from './open-rows.ts';

const OPERATIONS = 'gateway.operations';

/** What services look for in their own tables, in memory. */
export interface Work {
  readonly workList: WorkList;
  dueSagas(now: number, limit: number): Promise<readonly string[]>;
  duePurchases(now: number, limit: number): Promise<readonly string[]>;
  dueReservations(now: number, limit: number): Promise<readonly DueReservation[]>;
}

/** Twins of the queries of the services' `queries.ts` on the tables. */
export function createWork(tables: MemoryTables): Work {
  const operations = new OpenRows<OperationRow>((row) => row.next_attempt_at !== null);
  const sagas = new OpenRows<SagaRow>((row) => row.deadline_at !== null);
  const refunds = new OpenRows<RefundRow>((row) => row.deadline_at !== null);
  const purchases = new OpenRows<PurchaseRow>((row) => row.deadline_at !== null);
  const reservations = new OpenRows<ReservationRow>((row) => row.expires_at !== null);
  tables.rows.set(OPERATIONS, operations);
  tables.rows.set(SAGA_TABLE.name, sagas);
  tables.rows.set(REFUND_TABLE.name, refunds);
  tables.rows.set(PURCHASE_TABLE.name, purchases);
  tables.rows.set(RESERVATION_TABLE.name, reservations);
  return {
    workList: createWorkList(operations),
    dueSagas: async (now, limit) => {
      const due = [...sagas.open.values(), ...refunds.open.values()].filter((row) => row.deadline_at! <= now);
      due.sort((a, b) => a.deadline_at! - b.deadline_at!);
      return [...new Set(due.map((row) => row.payment_id))].slice(0, limit);
    },
    duePurchases: async (now, limit) => {
      const due = [...purchases.open.values()].filter((row) => row.deadline_at! <= now);
      due.sort((a, b) => a.deadline_at! - b.deadline_at!);
      return due.slice(0, limit).map((row) => row.purchase_id);
    },
    dueReservations: async (now, limit) => {
      const due = [...reservations.open.values()].filter((row) => row.expires_at! <= now);
      due.sort((a, b) => a.expires_at! - b.expires_at!);
      return due.slice(0, limit).map((row) => ({ productId: row.product_id, purchaseId: row.purchase_id }));
    },
  };
}

function createWorkList(rows: OpenRows<OperationRow>): WorkList {
  const write = (row: OperationRow): void => void rows.set(keyOf(row), JSON.stringify(row));

  /** The column `claimed_attempt`, which no event writes. */
  const claimedAttempts = new Map<string, number>();
  const isAbandoned = (row: OperationRow): boolean => (claimedAttempts.get(keyOf(row)) ?? 0) === row.attempts;

  const claim = (row: OperationRow, leaseUntil: number): ClaimedOperation => {
    const claimed: OperationRow = { ...row, next_attempt_at: leaseUntil };
    const abandoned = isAbandoned(row);
    write(claimed);
    claimedAttempts.set(keyOf(row), row.attempts);
    return { ...claimed, abandoned };
  };

  const isDue = (row: OperationRow, { gateway, now, onlyGivenUpBefore }: ClaimOptions): boolean => {
    if (row.gateway !== gateway || row.next_attempt_at! > now) return false;
    if (onlyGivenUpBefore === undefined) return true;
    return row.state === 'not_taken' && !isAbandoned(row) && row.requested_at <= onlyGivenUpBefore;
  };

  return {
    claimDue: async (options) => {
      const due = [...rows.open.values()].filter((row) => isDue(row, options));
      due.sort((a, b) => a.next_attempt_at! - b.next_attempt_at!);
      return due.slice(0, options.limit).map((row) => claim(row, options.leaseUntil));
    },
    extendLeases: async (operations, now, leaseUntil) => {
      for (const ref of operations) {
        const row = rows.open.get(keyOf(ref));
        const leased = row !== undefined && row.next_attempt_at! > now && row.next_attempt_at! < leaseUntil;
        if (leased) write({ ...row, next_attempt_at: leaseUntil });
      }
    },
    find: async (ref) => {
      const text = rows.get(keyOf(ref));
      return text === undefined ? undefined : JSON.parse(text);
    },
  };
}

function keyOf({ id, kind }: OperationRef): string {
  return compositeKey(id, kind);
}
