import type { RecordedEvent } from '#kernel/core/event.ts';
import { LOG_START } from '#kernel/core/log-position.ts';
import { eventsBetween } from '#kernel/event-store/postgres/events-between.ts';
import { readHead } from '#kernel/event-store/postgres/read.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import { LEDGER_EVENTS, postings } from '#services/wallets/ledger.ts';

/** What the log says of one payment. Amounts in minor units. */
export interface PaymentHistory {
  /** The key that its client put into the metadata. */
  readonly key: string | undefined;
  readonly method: string;
  readonly amountMinor: number;
  readonly currency: string;
  /** The final statuses that were recorded: exactly one, when all is well. */
  readonly completions: string[];
  debitedMinor: number;
  creditedMinor: number;
  debits: number;
  /** Charges that the gateway answered with success. */
  charges: number;
  givenBackByGatewayMinor: number;
  readonly refunds: Map<string, { readonly key: string; readonly amountMinor: number; ends: string[] }>;
}

/** The log, folded by nothing but what its events say. */
export interface History {
  readonly payments: ReadonlyMap<string, PaymentHistory>;
  /** Balances by wallet id, from the movements. */
  readonly balances: ReadonlyMap<string, number>;
  /** How often each reference of a direct movement occurs. */
  readonly references: ReadonlyMap<string, number>;
  /** Sums of the postings, by `account currency`. */
  readonly accounts: ReadonlyMap<string, number>;
}

const PAGE = 2000;
const EVENTS = [
  ...LEDGER_EVENTS,
  'payments.created',
  'payments.declined',
  'payments.failed',
  'payments.refunded',
  'wallet.opened',
];

/** Reads the whole log. */
export async function readHistory(sql: Sql): Promise<History> {
  const payments = new Map<string, PaymentHistory>();
  const balances = new Map<string, number>();
  const references = new Map<string, number>();
  const accounts = new Map<string, number>();
  for await (const { events } of eventsBetween(sql, LOG_START, await readHead(sql), EVENTS, PAGE)) {
    for (const event of events) {
      foldPayment(payments, event);
      foldWallet(balances, references, event);
      for (const { account, currency, amountMinor } of postings(event))
        add(accounts, `${account} ${currency}`, amountMinor);
    }
  }
  return { payments, balances, references, accounts };
}

function foldPayment(payments: Map<string, PaymentHistory>, { type, data }: RecordedEvent): void {
  if (type === 'payments.created') payments.set(data.id, newPayment(data));
  const payment = payments.get(data.payment_id ?? data.id);
  if (payment === undefined) return;
  switch (type) {
    case 'payments.approved':
    case 'payments.declined':
    case 'payments.failed':
      payment.completions.push(data.status);
      return;
    case 'wallet.debited':
      payment.debitedMinor += data.amount_minor;
      payment.debits += 1;
      return;
    case 'wallet.credited':
      payment.creditedMinor += data.amount_minor;
      return;
    case 'gateway.charge.answered':
      if (data.status === 'SUCCESS') payment.charges += 1;
      return;
    case 'gateway.refund.answered':
      if (data.status === 'SUCCESS') payment.givenBackByGatewayMinor += data.amount_minor;
      return;
    case 'payments.refund.requested':
      payment.refunds.set(data.refund_id, { key: data.reason, amountMinor: data.amount_minor, ends: [] });
      return;
    case 'payments.refunded':
    case 'payments.refund.failed':
      payment.refunds.get(data.refund_id)?.ends.push(type === 'payments.refunded' ? 'SUCCEEDED' : 'FAILED');
  }
}

function newPayment(data: RecordedEvent['data']): PaymentHistory {
  return {
    key: data.metadata?.key,
    method: data.method,
    amountMinor: data.amount_minor,
    currency: data.currency,
    completions: [],
    debitedMinor: 0,
    creditedMinor: 0,
    debits: 0,
    charges: 0,
    givenBackByGatewayMinor: 0,
    refunds: new Map(),
  };
}

function foldWallet(
  balances: Map<string, number>,
  references: Map<string, number>,
  { type, data }: RecordedEvent,
): void {
  if (type === 'wallet.opened') add(balances, data.wallet_id, 0);
  if (type !== 'wallet.debited' && type !== 'wallet.credited') return;
  add(balances, data.wallet_id, type === 'wallet.debited' ? -data.amount_minor : data.amount_minor);
  if (data.reference !== undefined) add(references, data.reference, 1);
}

function add(sums: Map<string, number>, key: string, amount: number): void {
  sums.set(key, (sums.get(key) ?? 0) + amount);
}

/** The money of a payment's refunds that were made. */
export function refundedMinor({ refunds }: PaymentHistory): number {
  return [...refunds.values()].reduce(
    (sum, { amountMinor, ends }) => sum + (ends[0] === 'SUCCEEDED' ? amountMinor : 0),
    0,
  );
}
