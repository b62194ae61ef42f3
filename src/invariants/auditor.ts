import type { Topology } from '#kernel/bus/topology.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { postings } from '#services/wallets/ledger.ts';
import { auditDelivery, type DeliveryFacts, noDeliveries } from './delivery-audit.ts';
import type { Finding } from './finding.ts';
import { auditAtRest, auditPayment, type PaymentFacts, unknownPayment } from './payment-audit.ts';
import { auditWallet, type WalletFacts } from './wallet-audit.ts';

/**
 * Derives from the log alone what must be true of the money, apart from the code that moves it. It is shown every event,
 * each stream's in order and each cause before its effects, and tells at once what an event breaks.
 */
export interface Auditor {
  /** @returns what the event breaks; nothing when all is well */
  observe(event: RecordedEvent): readonly Finding[];
  /** What is wrong when nothing is on its way any more. */
  atRest(): readonly Finding[];
  payment(id: string): PaymentFacts | undefined;
  wallet(id: string): WalletFacts | undefined;
  /** The balance of an account of the ledger, minor units. */
  balance(account: string, currency: string): number;
}

/** @param topology says which events have a key in common, and hence an order */
export function createAuditor(topology: Topology): Auditor {
  const payments = new Map<string, PaymentFacts>();
  const wallets = new Map<string, WalletFacts>();
  const deliveries = new Map<string, DeliveryFacts>();
  const accounts = new Map<string, number>();
  const sums = new Map<string, number>();

  const post = (event: RecordedEvent): readonly Finding[] => {
    const entry = postings(event);
    for (const { account, currency, amountMinor } of entry) {
      add(accounts, `${account} ${currency}`, amountMinor);
      add(sums, currency, amountMinor);
    }
    return entry.filter(({ currency }) => sums.get(currency) !== 0).map(({ currency }) => unbalanced(currency, event));
  };

  const unbalanced = (currency: string, event: RecordedEvent): Finding => {
    const message = `the ledger is off by ${sums.get(currency)} minor units of ${currency} (event ${event.id}, ${event.type})`;
    return { invariant: 'balanced', message, eventId: event.id, subject: currency };
  };

  const observePayment = (event: RecordedEvent): readonly Finding[] => {
    const id = paymentOf(event);
    if (id === undefined) return [];
    return auditPayment(entryOf(payments, id, unknownPayment), event);
  };

  const observeWallet = (event: RecordedEvent): readonly Finding[] => {
    if (event.aggregateType !== 'wallet') return [];
    const { facts, findings } = auditWallet(wallets.get(event.aggregateId), event);
    if (facts !== undefined) wallets.set(event.aggregateId, facts);
    return findings;
  };

  const observeDelivery = (event: RecordedEvent): readonly Finding[] =>
    auditDelivery(entryOf(deliveries, event.metadata.correlationid, noDeliveries), event, topology);

  return {
    observe: (event) => [...post(event), ...observePayment(event), ...observeWallet(event), ...observeDelivery(event)],
    atRest: () => [...payments.values()].flatMap(auditAtRest),
    payment: (id) => payments.get(id),
    wallet: (id) => wallets.get(id),
    balance: (account, currency) => accounts.get(`${account} ${currency}`) ?? 0,
  };
}

/** The payment that an event speaks of. */
function paymentOf({ type, data }: RecordedEvent): string | undefined {
  if (data.payment_id !== undefined) return data.payment_id;
  return type.startsWith('payments.') ? data.id : undefined;
}

function entryOf<T>(map: Map<string, T>, id: string, make: (id: string) => T): T {
  let found = map.get(id);
  if (found === undefined) {
    found = make(id);
    map.set(id, found);
  }
  return found;
}

function add(map: Map<string, number>, key: string, amount: number): void {
  map.set(key, (map.get(key) ?? 0) + amount);
}
