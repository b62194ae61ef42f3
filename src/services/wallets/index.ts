import type { RecordedEvent } from '#kernel/core/event.ts';
import { fromTimestamp } from '#kernel/core/timestamp.ts';
import type { LookBack, Reaction, ServiceDefinition } from '#kernel/processor/service.ts';
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
  const command = { type: 'DebitForPayment', ...requestOf(data, id) } satisfies WalletCommand;
  const lookBack: LookBack = {
    key: `debit ${data.payment_id}`,
    repeated: command.attempt > 1,
    isRequest: (event) => event.type === 'wallet.debit.requested',
    isAnswer: (event) =>
      event.data.payment_id === data.payment_id &&
      (event.type === 'wallet.debited' || event.type === 'wallet.debit.declined'),
  };
  return [{ aggregate: WALLET, id, command, lookBack }];
}

function creditRequested({ data }: RecordedEvent): readonly Reaction[] {
  const id = walletIdOf(data.user_id);
  const { refund_id: refundId, reason } = data;
  const command = { type: 'CreditForPayment', ...requestOf(data, id), refundId, reason } satisfies WalletCommand;
  const lookBack: LookBack = {
    key: `credit ${refundId}`,
    repeated: command.attempt > 1,
    isRequest: (event) => event.type === 'wallet.credit.requested' && event.data.refund_id === refundId,
    isAnswer: (event) => event.data.refund_id === refundId,
  };
  return [{ aggregate: WALLET, id, command, lookBack }];
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
