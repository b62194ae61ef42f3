import type { Route, Topic, Topology } from '#kernel/bus/topology.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { type Config, ConfigError } from '#src/config.ts';

const PARTITIONS = 6;

/** Events of a payment, by type of their payload's id. */
const paymentKey = (event: RecordedEvent): string => event.data.payment_id ?? event.data.id;
/** Movements that belong to no payment are ordered by their wallet. */
const movementKey = (event: RecordedEvent): string => event.data.payment_id ?? event.data.wallet_id;

const WALLET_RESPONSE = 'wallet.response';

/** Event type → topic (where its name differs) and key, for the topology `by-type`: a topic for each type. */
const BY_TYPE: Readonly<Record<string, { readonly topic?: string; readonly key: (event: RecordedEvent) => string }>> = {
  'payments.created': { key: paymentKey },
  'payments.checked': { key: paymentKey },
  'payments.approved': { key: paymentKey },
  'payments.declined': { key: paymentKey },
  'payments.failed': { key: paymentKey },
  'payments.refund.requested': { key: paymentKey },
  'payments.refunded': { key: paymentKey },
  'payments.refund.failed': { key: paymentKey },
  'wallet.debit.requested': { key: paymentKey },
  'wallet.debited': { topic: WALLET_RESPONSE, key: movementKey },
  'wallet.debit.declined': { topic: WALLET_RESPONSE, key: movementKey },
  'wallet.credit.requested': { key: paymentKey },
  'wallet.credit.declined': { key: movementKey },
  'wallet.opened': { key: movementKey },
  'wallet.credited': { key: movementKey },
  'gateway.charge.requested': { key: paymentKey },
  'gateway.charge.sent': { key: paymentKey },
  'gateway.charge.answered': { key: paymentKey },
  'gateway.refund.requested': { key: paymentKey },
  'gateway.refund.answered': { key: paymentKey },
};

const DEAD_LETTERS: readonly Topic[] = ['payments.dlq', 'wallet.dlq', 'gateway.dlq'].map((name) => ({
  name,
  partitions: PARTITIONS,
}));

function byType(): Topology {
  const routes = new Map<string, Route>();
  for (const [type, { topic, key }] of Object.entries(BY_TYPE)) routes.set(type, { topic: topic ?? type, key });
  const names = [...new Set([...routes.values()].map((route) => route.topic))];
  return {
    name: 'by-type',
    routes,
    topics: [...names.map((name) => ({ name, partitions: PARTITIONS })), ...DEAD_LETTERS],
  };
}

/** Every topology that CAUDAL_TOPOLOGY can name. */
const TOPOLOGIES: ReadonlyMap<string, Topology> = new Map([byType()].map((topology) => [topology.name, topology]));

/** The topology that the settings name. @throws ConfigError when there is none of that name */
export function topologyOf({ topology }: Pick<Config, 'topology'>): Topology {
  const found = TOPOLOGIES.get(topology);
  if (found !== undefined) return found;
  throw new ConfigError(`CAUDAL_TOPOLOGY=${topology}: known are ${[...TOPOLOGIES.keys()].join(', ')}`);
}
