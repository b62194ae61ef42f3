import type { Route, Topology } from '#kernel/bus/topology.ts';
import { COMMERCE_ROUTES } from './commerce.ts';
import { KEY_OF_TYPE } from './keys.ts';
import { COMMERCE_AND_AUDIT, DEAD_LETTERS, topicsOfRoutes } from './topics.ts';

const COMPLETED = 'saga.events.payment.completed.v1';
const REFUND_COMPLETED = 'saga.events.refund.completed.v1';

/** `<domain>.<entity>.<action>.<version>` of each event type. */
const TOPIC_OF_TYPE: Readonly<Record<string, string>> = {
  'payments.created': 'saga.events.payment.requested.v1',
  'payments.checked': 'fraud.events.payment.checked.v1',
  'payments.approved': COMPLETED,
  'payments.declined': COMPLETED,
  'payments.failed': COMPLETED,
  'payments.refund.requested': 'saga.events.refund.requested.v1',
  'payments.refunded': REFUND_COMPLETED,
  'payments.refund.failed': REFUND_COMPLETED,
  'wallet.debit.requested': 'wallet.events.debit.requested.v1',
  'wallet.debited': 'wallet.events.funds.debited.v1',
  'wallet.debit.declined': 'wallet.events.funds.insufficient.v1',
  'wallet.credit.requested': 'wallet.events.credit.requested.v1',
  'wallet.credited': 'wallet.events.funds.credited.v1',
  'wallet.credit.declined': 'wallet.events.funds.refused.v1',
  'wallet.opened': 'wallet.events.wallet.opened.v1',
  'gateway.charge.requested': 'payment.events.gateway.requested.v1',
  'gateway.charge.sent': 'payment.events.sent_to_gateway.v1',
  'gateway.charge.answered': 'payment.events.gateway.response.v1',
  'gateway.refund.requested': 'refund.events.gateway.requested.v1',
  'gateway.refund.answered': 'refund.events.gateway.response.v1',
};

/** By topic: where its events are written a second time, for who counts them and must not slow down who acts on them. */
const COPIES: Readonly<Record<string, readonly string[]>> = { [COMPLETED]: ['metrics.events.payment.completed.v1'] };

const routes = new Map(
  Object.entries(TOPIC_OF_TYPE).map(([type, topic]): [string, readonly Route[]] => {
    const copies = COPIES[topic];
    return [type, [{ topic, key: KEY_OF_TYPE[type]!, ...(copies !== undefined && { copies }) }]];
  }),
);

/** A topic for each thing that can happen, in versions of their own. */
export const granular: Topology = {
  name: 'granular',
  routes: new Map([...routes, ...COMMERCE_ROUTES]),
  topics: [...topicsOfRoutes(routes), ...COMMERCE_AND_AUDIT, ...DEAD_LETTERS],
};
