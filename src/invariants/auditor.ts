import type { Lane } from '#kernel/bus/topology.ts';
import { toError } from '#kernel/core/errors.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { isWalletAccount, type Posting, postings } from '#services/wallets/ledger.ts';
import { auditDelivery, type DeliveryFacts, noDeliveries } from './delivery-audit.ts';
import { type Finding, nameOf } from './finding.ts';
import { auditAtRest, auditPayment, type PaymentFacts, unknownPayment } from './payment-audit.ts';
import { auditPurchase, auditPurchaseAtRest, type PurchaseFacts, purchaseOf } from './purchase-audit.ts';
import { auditStock, NO_STOCK_YET, type StockFacts } from './stock-audit.ts';
import { auditWallet, type WalletFacts } from './wallet-audit.ts';

/**
 * Derives from the log alone what must be true of the money and of what it buys, apart from the code that moves them. It is shown every event,
 * each stream's in order and each cause before its effects, and tells at once what an event breaks.
 */
export interface Auditor {
  /** @returns what the event breaks; nothing when all is well */
  observe(event: RecordedEvent): readonly Finding[];
  /** What is wrong when nothing is on its way any more. */
  atRest(): readonly Finding[];
  payment(id: string): PaymentFacts | undefined;
  wallet(id: string): WalletFacts | undefined;
  stock(productId: string): StockFacts | undefined;
  purchase(id: string): PurchaseFacts | undefined;
  /** The balance of an account of the ledger that is no wallet's, minor units. */
  balance(account: string, currency: string): number;
}

/** Facts by id: all there are, or the latest used. */
export interface Facts<T> {
  get(id: string): T | undefined;
  set(id: string, facts: T): unknown;
  values(): Iterable<T>;
}

/** What an auditor remembers of the log. */
export interface AuditMemory {
  readonly payments: Facts<PaymentFacts>;
  readonly wallets: Facts<WalletFacts>;
  /** By product. */
  readonly stock: Facts<StockFacts>;
  readonly purchases: Facts<PurchaseFacts>;
  /** By process: the correlation id of its events. */
  readonly deliveries: Facts<DeliveryFacts>;
}

/** A memory without limits. */
export function unboundedMemory(): AuditMemory {
  return { payments: new Map(), wallets: new Map(), stock: new Map(), purchases: new Map(), deliveries: new Map() };
}

/**
 * @param lane says which events of a key have an order
 * @param memory what is missing in it counts as never seen
 */
export function createAuditor(lane: Lane, memory: AuditMemory = unboundedMemory()): Auditor {
  const { payments, wallets, stock, purchases, deliveries } = memory;
  const accounts = new Map<string, number>();
  const sums = new Map<string, number>();

  const post = (event: RecordedEvent): readonly Finding[] => {
    const entry = entryOf(event);
    if (typeof entry === 'string') return [unreadable(event, entry)];
    for (const { account, currency, amountMinor } of entry) {
      if (!isWalletAccount(account)) add(accounts, `${account} ${currency}`, amountMinor);
      add(sums, currency, amountMinor);
    }
    return entry.filter(({ currency }) => sums.get(currency) !== 0).map(({ currency }) => unbalanced(currency, event));
  };

  const unbalanced = (currency: string, event: RecordedEvent): Finding => {
    const message = `the ledger is off by ${sums.get(currency)} minor units of ${currency} (${nameOf(event)})`;
    return { invariant: 'balanced', message, eventId: event.id, subject: currency };
  };

  const observePayment = (event: RecordedEvent): readonly Finding[] => {
    const id = paymentOf(event);
    if (id === undefined) return [];
    return auditPayment(factsOf(payments, id, unknownPayment), event);
  };

  const observeWallet = (event: RecordedEvent): readonly Finding[] => {
    if (event.aggregateType !== 'wallet') return [];
    const { facts, findings } = auditWallet(wallets.get(event.aggregateId), event);
    if (facts !== undefined) wallets.set(event.aggregateId, facts);
    return findings;
  };

  const observeStock = (event: RecordedEvent): readonly Finding[] => {
    if (event.aggregateType !== 'stock') return [];
    const before = event.streamPosition === 1 ? NO_STOCK_YET : stock.get(event.aggregateId);
    const { facts, findings } = auditStock(before, event);
    stock.set(event.aggregateId, facts);
    return findings;
  };

  const observePurchase = (event: RecordedEvent): readonly Finding[] => {
    const id = purchaseOf(event);
    if (id === undefined) return [];
    const { facts, findings } = auditPurchase(purchases.get(id), event, (paymentId) => payments.get(paymentId));
    if (facts !== undefined) purchases.set(id, facts);
    return findings;
  };

  const observeDelivery = (event: RecordedEvent): readonly Finding[] =>
    auditDelivery(factsOf(deliveries, event.metadata.correlationid, noDeliveries), event, lane);

  return {
    observe: (event) => [
      ...post(event),
      ...observePayment(event),
      ...observeWallet(event),
      ...observeStock(event),
      ...observePurchase(event),
      ...observeDelivery(event),
    ],
    atRest: () => [
      ...[...payments.values()].flatMap(auditAtRest),
      ...[...purchases.values()].flatMap((facts) => auditPurchaseAtRest(facts, payments.get(facts.paymentId))),
    ],
    payment: (id) => payments.get(id),
    wallet: (id) => wallets.get(id),
    stock: (productId) => stock.get(productId),
    purchase: (id) => purchases.get(id),
    balance: (account, currency) => accounts.get(`${account} ${currency}`) ?? 0,
  };
}

/** The postings of an event, or why there are none although it moves money. */
function entryOf(event: RecordedEvent): readonly Posting[] | string {
  try {
    return postings(event);
  } catch (cause) {
    return toError(cause).message;
  }
}

function unreadable(event: RecordedEvent, why: string): Finding {
  const message = `an event cannot be booked: ${why} (${nameOf(event)})`;
  return { invariant: 'balanced', message, eventId: event.id };
}

/** The payment that an event speaks of; a purchase names one before there is any. */
export function paymentOf({ type, aggregateType, data }: RecordedEvent): string | undefined {
  if (aggregateType === 'purchase') return undefined;
  if (data.payment_id !== undefined) return data.payment_id;
  return type.startsWith('payments.') ? data.id : undefined;
}

function factsOf<T>(facts: Facts<T>, id: string, make: (id: string) => T): T {
  let found = facts.get(id);
  if (found === undefined) {
    found = make(id);
    facts.set(id, found);
  }
  return found;
}

function add(map: Map<string, number>, key: string, amount: number): void {
  map.set(key, (map.get(key) ?? 0) + amount);
}
