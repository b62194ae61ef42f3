import type { RecordedEvent } from '#kernel/core/event.ts';
import { fromTimestamp } from '#kernel/core/timestamp.ts';
import type { Reaction, ServiceDefinition } from '#kernel/processor/service.ts';
import {
  WALLET,
  walletCreditDeclined,
  walletCredited,
  walletDebitDeclined,
  walletDebited,
  walletIdOf,
  walletOpened,
} from './contract.ts';
import { createWalletDecider, type WalletCommand, type WalletSettings } from './decider.ts';
import { ledgerAccounts, walletBalances } from './projections.ts';

/** The clocks of two machines may differ by so much: an earlier answer is searched for from this long before its request. */
const CLOCK_SKEW_MS = 5_000;

/** The wallets service: balances and the double-entry ledger. */
export function walletsService(settings: WalletSettings): ServiceDefinition {
  return {
    name: 'wallets',
    produces: [walletOpened, walletDebited, walletCredited, walletDebitDeclined, walletCreditDeclined],
    deciders: [createWalletDecider(settings)],
    reactions: {
      'wallet.debit.requested': debitRequested,
      'wallet.credit.requested': creditRequested,
      // No command follows from these: they are consumed for the ledger alone.
      'payments.approved': nothing,
      'payments.refund.requested': nothing,
      'payments.refund.failed': nothing,
      'gateway.charge.answered': nothing,
      'gateway.refund.answered': nothing,
    },
    inline: [walletBalances, ledgerAccounts],
    projections: [],
    dlqTopic: 'wallet.dlq',
  };
}

function nothing(): readonly Reaction[] {
  return [];
}

function debitRequested({ data }: RecordedEvent): readonly Reaction[] {
  const id = walletIdOf(data.user_id);
  const command: WalletCommand = { type: 'DebitForPayment', ...requestOf(data, id) };
  const answers = (event: RecordedEvent) =>
    event.data.payment_id === data.payment_id &&
    (event.type === 'wallet.debited' || event.type === 'wallet.debit.declined');
  return [{ aggregate: WALLET, id, command, ...lookBack(data, answers) }];
}

function creditRequested({ data }: RecordedEvent): readonly Reaction[] {
  const id = walletIdOf(data.user_id);
  const { refund_id: refundId, reason } = data;
  const command: WalletCommand = { type: 'CreditForPayment', ...requestOf(data, id), refundId, reason };
  return [{ aggregate: WALLET, id, command, ...lookBack(data, (event) => event.data.refund_id === refundId) }];
}

function requestOf(data: RecordedEvent['data'], walletId: string) {
  return {
    walletId,
    userId: data.user_id,
    paymentId: data.payment_id,
    amountMinor: data.amount_minor,
    currency: data.currency,
    traceId: data.trace_id,
    requestedAt: fromTimestamp(data.requested_at),
    attempt: data.attempt ?? 1,
  };
}

/** A repeated request is answered once: the wallet's stream is searched for the answer since the first attempt. */
function lookBack(data: RecordedEvent['data'], matches: (event: RecordedEvent) => boolean): Pick<Reaction, 'lookBack'> {
  if ((data.attempt ?? 1) === 1) return {};
  return { lookBack: { since: fromTimestamp(data.first_requested_at ?? data.requested_at) - CLOCK_SKEW_MS, matches } };
}
