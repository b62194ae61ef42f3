import type { Key, Route, Topology } from '#kernel/bus/topology.ts';
import { COMMERCE_ROUTES } from './commerce.ts';
import { KEY_OF_TYPE } from './keys.ts';
import { COMMERCE_AND_AUDIT, DEAD_LETTERS, topicsOfRoutes } from './topics.ts';

/** The topics that are not called as their event type. */
const SHARED_TOPIC: Readonly<Record<string, string>> = {
  'wallet.debited': 'wallet.response',
  'wallet.debit.declined': 'wallet.response',
};

const routes = new Map(
  Object.entries(KEY_OF_TYPE).map(([type, key]: [string, Key]): [string, readonly Route[]] => [
    type,
    [{ topic: SHARED_TOPIC[type] ?? type, key }],
  ]),
);

/** A topic for each event type; what a wallet answers to a debit is one. */
export const byType: Topology = {
  name: 'by-type',
  routes: new Map([...routes, ...COMMERCE_ROUTES]),
  topics: [...topicsOfRoutes(routes), ...COMMERCE_AND_AUDIT, ...DEAD_LETTERS],
};
