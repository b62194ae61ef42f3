import type { Key } from '#kernel/bus/topology.ts';

/** The payment: `payment_id`, or `id` where the payload is the payment itself. */
export const paymentId: Key = { name: 'payment_id', of: ({ data }) => data.payment_id ?? data.id };

/** Movements that belong to no payment are ordered by their wallet. */
const paymentOrWalletId: Key = {
  name: 'payment_id, else wallet_id',
  of: ({ data }) => data.payment_id ?? data.wallet_id,
};

export const walletId: Key = { name: 'wallet_id', of: ({ data }) => data.wallet_id };

/**
 * The user, whom payments call their customer. Events that were written before they named one are ordered by their
 * payment.
 */
export const userId: Key = {
  name: 'user_id',
  of: ({ data }) => data.user_id ?? data.customer_id ?? data.payment_id ?? data.id,
};

/** Every event type that is on the bus, and its key where each type, or each step, has a topic of its own. */
export const KEY_OF_TYPE: Readonly<Record<string, Key>> = {
  'payments.created': paymentId,
  'payments.checked': paymentId,
  'payments.approved': paymentId,
  'payments.declined': paymentId,
  'payments.failed': paymentId,
  'payments.refund.requested': paymentId,
  'payments.refunded': paymentId,
  'payments.refund.failed': paymentId,
  'wallet.debit.requested': paymentId,
  'wallet.debited': paymentOrWalletId,
  'wallet.debit.declined': paymentOrWalletId,
  'wallet.credit.requested': paymentId,
  'wallet.credit.declined': paymentOrWalletId,
  'wallet.opened': paymentOrWalletId,
  'wallet.credited': paymentOrWalletId,
  'gateway.charge.requested': paymentId,
  'gateway.charge.sent': paymentId,
  'gateway.charge.answered': paymentId,
  'gateway.refund.requested': paymentId,
  'gateway.refund.answered': paymentId,
};
