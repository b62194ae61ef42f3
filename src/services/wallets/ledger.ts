import type { RecordedEvent } from '#kernel/core/event.ts';
import { invariant } from '#kernel/core/invariant.ts';

/** One signed line of a ledger entry: money into the account is positive, out of it negative. */
export interface Posting {
  readonly account: string;
  readonly currency: string;
  /** Minor units. */
  readonly amountMinor: number;
}

/** Outside of the platform: deposits come from it, withdrawals go to it. */
export const WORLD = 'world';
/** Money on its way: taken for a payment that is not decided, or about to be given back. */
export const CLEARING = 'clearing:payments';
/** What approved payments earned. */
export const MERCHANT = 'merchant:default';
export const FEES = 'fees';

const WALLET_PREFIX = 'wallet:';

/** The account of a wallet. Its balance is the wallet's; the others are kept in `wallets.ledger_accounts`. */
export function walletAccount(walletId: string): string {
  return WALLET_PREFIX + walletId;
}

export function isWalletAccount(account: string): boolean {
  return account.startsWith(WALLET_PREFIX);
}

/** The account of a card gateway: below zero by what it owes for charges, back to zero as it pays out. */
export function gatewayAccount(gateway: string): string {
  return `gateway:${gateway}`;
}

/** Every event type that moves money in the ledger. */
export const LEDGER_EVENTS = [
  'wallet.debited',
  'wallet.credited',
  'payments.approved',
  'payments.refund.requested',
  'payments.refund.failed',
  'gateway.charge.answered',
  'gateway.refund.answered',
] as const;

const NOTHING: readonly Posting[] = Object.freeze([]);

/**
 * The balanced ledger entry of an event; empty when it moves no money. The same function makes the read models, checks
 * them and explains a payment, so it is the one definition of what an event means in money.
 */
export function postings(event: Pick<RecordedEvent, 'type' | 'data'>): readonly Posting[] {
  const { type, data } = event;
  switch (type) {
    case 'wallet.debited':
      return entry(data, walletAccount(data.wallet_id), destination(data));
    case 'wallet.credited':
      return entry(data, data.payment_id === undefined ? WORLD : CLEARING, walletAccount(data.wallet_id));
    case 'payments.approved':
    case 'payments.refund.failed':
      return entry(data, CLEARING, MERCHANT);
    case 'payments.refund.requested':
      return entry(data, MERCHANT, CLEARING);
    case 'gateway.charge.answered':
      return data.status === 'SUCCESS' ? entry(data, gatewayAccount(data.gateway), CLEARING) : NOTHING;
    case 'gateway.refund.answered':
      return data.status === 'SUCCESS' ? entry(data, CLEARING, gatewayAccount(data.gateway)) : NOTHING;
    default:
      return NOTHING;
  }
}

function destination(data: { readonly payment_id?: string; readonly reason: string }): string {
  if (data.payment_id !== undefined) return CLEARING;
  return data.reason === 'fee' ? FEES : WORLD;
}

function entry(
  { amount_minor, currency }: { readonly amount_minor: number; readonly currency: string },
  from: string,
  to: string,
): readonly Posting[] {
  const out = { account: from, currency, amountMinor: -amount_minor };
  const into = { account: to, currency, amountMinor: amount_minor };
  invariant(amount_minor > 0 && out.amountMinor + into.amountMinor === 0, 'a ledger entry sums to zero');
  return [out, into];
}
