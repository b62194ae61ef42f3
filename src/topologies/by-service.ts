import type { Route, Topology } from '#kernel/bus/topology.ts';
import { COMMERCE_ROUTES } from './commerce.ts';
import { paymentId, userId, walletId } from './keys.ts';
import { COMMERCE_AND_AUDIT, DEAD_LETTERS } from './topics.ts';

const ofPayments: Route = { topic: 'payment-events', key: userId };
const ofWallets: Route = { topic: 'wallet-events', key: walletId };
const ofGateway: Route = { topic: 'gateway-events', key: paymentId };

/** By the service that writes it: what payments ask of wallets and of the gateway is an event of payments. */
const ROUTE_OF_TYPE: Readonly<Record<string, Route>> = {
  'payments.created': ofPayments,
  'payments.checked': ofPayments,
  'payments.approved': ofPayments,
  'payments.declined': ofPayments,
  'payments.failed': ofPayments,
  'payments.refund.requested': ofPayments,
  'payments.refunded': ofPayments,
  'payments.refund.failed': ofPayments,
  'wallet.debit.requested': ofPayments,
  'wallet.credit.requested': ofPayments,
  'gateway.charge.requested': ofPayments,
  'gateway.refund.requested': ofPayments,
  'wallet.debited': ofWallets,
  'wallet.debit.declined': ofWallets,
  'wallet.credited': ofWallets,
  'wallet.credit.declined': ofWallets,
  'wallet.opened': ofWallets,
  'gateway.charge.sent': ofGateway,
  'gateway.charge.answered': ofGateway,
  'gateway.refund.answered': ofGateway,
};

/** A topic for each service that writes events of payments; those of fraud go with those of payments. */
export const byService: Topology = {
  name: 'by-service',
  routes: new Map([
    ...Object.entries(ROUTE_OF_TYPE).map(([type, route]): [string, readonly Route[]] => [type, [route]]),
    ...COMMERCE_ROUTES,
  ]),
  topics: [
    { name: ofPayments.topic, partitions: 24 },
    { name: ofWallets.topic, partitions: 16 },
    { name: ofGateway.topic, partitions: 12 },
    ...COMMERCE_AND_AUDIT,
    ...DEAD_LETTERS,
  ],
};
