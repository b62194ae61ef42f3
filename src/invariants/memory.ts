import { LRUCache } from 'lru-cache';
import type { Lane } from '#kernel/bus/topology.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import type { LogPosition } from '#kernel/core/log-position.ts';
import { purchaseIdOf } from '#services/purchases/contract.ts';
import { WALLET } from '#services/wallets/contract.ts';
import { type AuditMemory, paymentOf } from './auditor.ts';
import { auditDelivery, type DeliveryFacts, noDeliveries } from './delivery-audit.ts';
import { factsOfPast, type PaymentFacts } from './payment-audit.ts';
import type { PurchaseFacts } from './purchase-audit.ts';
import type { StockFacts } from './stock-audit.ts';
import type { WalletFacts } from './wallet-audit.ts';

export interface MemoryLimits {
  /** Payments remembered, and purchases, at least as many as the events of a page. */
  readonly maxPayments: number;
  /** Wallets remembered, and products, at least as many as the events of a page. */
  readonly maxWallets: number;
}

/** A wallet, just before an event of its stream. */
export interface WalletMoment {
  readonly id: string;
  /** The stream position of the event. */
  readonly before: number;
}

/** A payment at a position of the log. */
export interface PastPayment {
  /** Those of its events that were read, none after the position, in the order of the log. */
  readonly events: readonly RecordedEvent[];
  /** True when movements of its wallet may be missing of which its own stream does not tell. */
  readonly blind: boolean;
}

/** The past, from the streams. */
export interface Past {
  /**
   * Payments as they were at a position of the log, by id.
   * @param walletPosition where the stream of a wallet stood then, if that is known
   */
  paymentsAt(
    ids: readonly string[],
    position: LogPosition,
    walletPosition: (walletId: string) => number | undefined,
  ): Promise<ReadonlyMap<string, PastPayment>>;
  /** Wallets as they were, by id; those that were not opened yet are left out. */
  walletsBefore(moments: readonly WalletMoment[]): Promise<ReadonlyMap<string, WalletFacts>>;
}

/**
 * A memory of limited size: what it has forgotten of payments and wallets is read again from the streams; stock is known again
 * from its next event, and a purchase that was forgotten stays unknown.
 */
export interface BoundedMemory extends AuditMemory {
  /**
   * Makes sure that everything is known that the auditor of these events needs.
   * @param events a page of the log that follows on `position`
   */
  recall(events: readonly RecordedEvent[], position: LogPosition): Promise<void>;
  /** Forgets everything: what is remembered no longer belongs to the position that the auditor goes on from. */
  clear(): void;
}

/** @param lane as of the auditor that the memory is for */
export function createBoundedMemory(lane: Lane, limits: MemoryLimits, past: Past): BoundedMemory {
  const payments = new LRUCache<string, PaymentFacts>({ max: limits.maxPayments });
  const deliveries = new LRUCache<string, DeliveryFacts>({ max: limits.maxPayments });
  const wallets = new LRUCache<string, WalletFacts>({ max: limits.maxWallets });
  const stock = new LRUCache<string, StockFacts>({ max: limits.maxWallets });
  const purchases = new LRUCache<string, PurchaseFacts>({ max: limits.maxPayments });

  const keepPayment = (id: string, { events, blind }: PastPayment): void => {
    const delivered = noDeliveries();
    for (const event of events) if (event.metadata.correlationid === id) auditDelivery(delivered, event, lane);
    payments.set(id, factsOfPast(id, events, blind));
    deliveries.set(id, delivered);
  };

  return {
    payments,
    deliveries,
    wallets,
    stock,
    purchases,
    recall: async (events, position) => {
      const { unknownPayments, unknownWallets } = findUnknown(events, { payments, deliveries, wallets });
      if (unknownWallets.length > 0)
        for (const [id, facts] of await past.walletsBefore(unknownWallets)) wallets.set(id, facts);
      if (unknownPayments.length === 0) return;
      const found = await past.paymentsAt(unknownPayments, position, (wallet) => wallets.get(wallet)?.position);
      for (const [id, payment] of found) keepPayment(id, payment);
    },
    clear: () => {
      for (const cache of [payments, deliveries, wallets, stock, purchases]) cache.clear();
    },
  };
}

/** What events speak of that is not remembered, and that does not begin with them. */
function findUnknown(
  events: readonly RecordedEvent[],
  { payments, deliveries, wallets }: Pick<AuditMemory, 'payments' | 'deliveries' | 'wallets'>,
) {
  const met = new Set<string>();
  const unknownPayments: string[] = [];
  const unknownWallets: WalletMoment[] = [];
  for (const event of events) {
    const { aggregateType, aggregateId, streamPosition } = event;
    const payment = paymentOf(event);
    if (payment !== undefined && isNew(met, payment)) {
      const begins = event.type === 'payments.created' && streamPosition === 1;
      // The payment of a purchase is part of that purchase's process.
      const isDelivered = purchaseIdOf(payment) !== undefined || deliveries.get(payment) !== undefined;
      const isKnown = payments.get(payment) !== undefined && isDelivered;
      if (!begins && !isKnown) unknownPayments.push(payment);
    }
    if (aggregateType === WALLET && isNew(met, `${WALLET} ${aggregateId}`)) {
      const isKnown = wallets.get(aggregateId) !== undefined;
      if (streamPosition > 1 && !isKnown) unknownWallets.push({ id: aggregateId, before: streamPosition });
    }
  }
  return { unknownPayments, unknownWallets };
}

function isNew(met: Set<string>, name: string): boolean {
  const before = met.size;
  return met.add(name).size > before;
}
