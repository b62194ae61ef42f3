import type { Route, Topic } from '#kernel/bus/topology.ts';

const PARTITIONS = 6;

/** Topics of the usual size. */
export function topicsNamed(...names: readonly string[]): readonly Topic[] {
  return names.map((name) => ({ name, partitions: PARTITIONS }));
}

/** The topics that the routes lead to, each once, of the usual size. */
export function topicsOfRoutes(routes: ReadonlyMap<string, readonly Route[]>): readonly Topic[] {
  const all = [...routes.values()].flat();
  const names = [...all.map(({ topic }) => topic), ...all.flatMap(({ copies = [] }) => copies)];
  return topicsNamed(...new Set(names));
}

/** In every topology: what the shop and the audit log write, each by the id of its entity. */
export const COMMERCE_AND_AUDIT = topicsNamed('product-events', 'inventory-events', 'purchase-events', 'audit-logs');

export const DEAD_LETTERS = topicsNamed('payments.dlq', 'wallet.dlq', 'gateway.dlq', 'commerce.dlq');
