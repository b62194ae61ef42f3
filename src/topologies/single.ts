import type { Topology } from '#kernel/bus/topology.ts';
import { COMMERCE_ROUTES } from './commerce.ts';
import { routesByFlow } from './flows.ts';
import { paymentId, userId } from './keys.ts';
import { COMMERCE_AND_AUDIT, topicsNamed } from './topics.ts';

const TOPIC = 'events.payments.v1';
const DEAD_LETTERS = 'events.dlq.v1';

/** One topic: payments by wallet on its even partitions, by card on its odd ones. */
export const single: Topology = {
  name: 'single',
  routes: new Map([
    ...routesByFlow(
      { topic: TOPIC, key: userId, partitions: 'even' },
      { topic: TOPIC, key: paymentId, partitions: 'odd' },
    ),
    ...COMMERCE_ROUTES,
  ]),
  topics: [{ name: TOPIC, partitions: 12 }, ...COMMERCE_AND_AUDIT, ...topicsNamed(DEAD_LETTERS)],
  deadLetters: DEAD_LETTERS,
};
