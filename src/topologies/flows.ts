import type { Route } from '#kernel/bus/topology.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';

/** Of a payment by wallet or by card: the event says which. */
const OF_EITHER = [
  'payments.created',
  'payments.checked',
  'payments.approved',
  'payments.declined',
  'payments.failed',
  'payments.refund.requested',
  'payments.refunded',
  'payments.refund.failed',
];

/** Of payments by wallet, and of wallets themselves. */
const OF_WALLETS = [
  'wallet.debit.requested',
  'wallet.debited',
  'wallet.debit.declined',
  'wallet.credit.requested',
  'wallet.credited',
  'wallet.credit.declined',
  'wallet.opened',
];

const OF_CARDS = [
  'gateway.charge.requested',
  'gateway.charge.sent',
  'gateway.charge.answered',
  'gateway.refund.requested',
  'gateway.refund.answered',
];

/** Events from before they named the method go with those of cards: a key of them, their payment, is known at least. */
function isOfWalletPayment({ data }: RecordedEvent): boolean {
  return data.method === 'wallet';
}

/** Every event type, where all of a payment by wallet goes one way and all of a payment by card another. */
export function routesByFlow(wallet: Route, card: Route): ReadonlyMap<string, readonly Route[]> {
  const either = [{ ...wallet, takes: isOfWalletPayment }, card];
  return new Map<string, readonly Route[]>([
    ...OF_EITHER.map((type) => [type, either] as const),
    ...OF_WALLETS.map((type) => [type, [wallet]] as const),
    ...OF_CARDS.map((type) => [type, [card]] as const),
  ]);
}
