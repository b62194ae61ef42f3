import type { Topology } from '#kernel/bus/topology.ts';
import { COMMERCE_ROUTES } from './commerce.ts';
import { routesByFlow } from './flows.ts';
import { paymentId, userId } from './keys.ts';
import { COMMERCE_AND_AUDIT, DEAD_LETTERS } from './topics.ts';

const WALLET = 'events.payments.wallet.v1';
const EXTERNAL = 'events.payments.external.v1';

/** A topic for payments by wallet, and one for those that a gateway outside takes. */
export const byFlow: Topology = {
  name: 'by-flow',
  routes: new Map([
    ...routesByFlow({ topic: WALLET, key: userId }, { topic: EXTERNAL, key: paymentId }),
    ...COMMERCE_ROUTES,
  ]),
  topics: [
    { name: WALLET, partitions: 12 },
    { name: EXTERNAL, partitions: 12 },
    ...COMMERCE_AND_AUDIT,
    ...DEAD_LETTERS,
  ],
};
