import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { crc32 } from 'node:zlib';
import { placeOf, placesOf, type Topology } from '#kernel/bus/topology.ts';
import { ConfigError } from '#src/config.ts';
import { defaultServices } from '../tests/support/flow.ts';
import { recorded } from '../tests/support/recorded.ts';
import { TOPOLOGIES, topologyOf } from './topologies.ts';

/** What the ids of the examples are called in the tables below. */
const KEYS = {
  payment: '019aaf00-0000-7000-8000-000000000001',
  user: 'user-1',
  wallet: '019aaf00-0000-7000-a000-000000000001',
  stream: '019aaf00-0000-7000-b000-000000000001',
  product: '019aaf00-0000-8000-8000-000000000001',
  purchase: '019aaf00-0000-7000-8000-000000000002',
} as const;
type KeyName = keyof typeof KEYS;

const byWallet = { method: 'wallet', customer_id: KEYS.user };
const byCard = { method: 'credit_card', customer_id: KEYS.user };
const ofPayment = { payment_id: KEYS.payment };
const movement = { user_id: KEYS.user, wallet_id: KEYS.wallet };

const PAYMENT_TYPES = ['created', 'checked', 'approved', 'declined', 'failed'].map((name) => `payments.${name}`);
const REFUND_TYPES = ['payments.refund.requested', 'payments.refunded', 'payments.refund.failed'];
const REQUESTS_TO_WALLETS = ['wallet.debit.requested', 'wallet.credit.requested'];
const MOVEMENTS = ['wallet.debited', 'wallet.debit.declined', 'wallet.credited', 'wallet.credit.declined'];
const REQUESTS_TO_GATEWAY = ['gateway.charge.requested', 'gateway.refund.requested'];
const PRODUCT_TYPES = ['product.created', 'product.updated', 'product.deleted'];
const STOCK_TYPES = ['inventory.stock.updated', 'inventory.stock.low', 'inventory.stock.out'];
const KEPT_TYPES = ['reserved', 'reservation.declined', 'released', 'committed'].map((name) => `inventory.${name}`);
const PURCHASE_TYPES = [
  ...['created', 'payment.requested', 'confirmed', 'completed', 'cancelled', 'returned'],
  ...['refund.requested', 'refunded', 'refund.failed'],
].map((name) => `purchase.${name}`);
const ANSWERS_OF_GATEWAY = ['gateway.charge.sent', 'gateway.charge.answered', 'gateway.refund.answered'];

/** Kinds of events: the types, and what of their payload says where they go. */
const KINDS = {
  'payment by wallet': [PAYMENT_TYPES, { id: KEYS.payment, ...byWallet }],
  'payment by card': [PAYMENT_TYPES, { id: KEYS.payment, ...byCard }],
  'refund to wallet': [REFUND_TYPES, { ...ofPayment, ...byWallet }],
  'refund to card': [REFUND_TYPES, { ...ofPayment, ...byCard }],
  'asked of a wallet': [REQUESTS_TO_WALLETS, { ...ofPayment, user_id: KEYS.user }],
  'movement for a payment': [MOVEMENTS, { ...ofPayment, ...movement }],
  'movement by itself': [['wallet.opened', 'wallet.debited', 'wallet.credited'], movement],
  'asked of the gateway': [REQUESTS_TO_GATEWAY, { ...ofPayment, customer_id: KEYS.user }],
  'answer of the gateway': [ANSWERS_OF_GATEWAY, ofPayment],
  'old fraud check': [['payments.checked'], { id: KEYS.payment }],
  'old refund asked for, to a wallet': [['payments.refund.requested'], { ...ofPayment, method: 'wallet' }],
  'old end of a refund': [['payments.refunded', 'payments.refund.failed'], ofPayment],
  'old request to the gateway': [REQUESTS_TO_GATEWAY, ofPayment],
  'change of a product': [PRODUCT_TYPES, { product_id: KEYS.product }],
  malformed: [[...PAYMENT_TYPES, ...REFUND_TYPES], null],
  'change of stock': [STOCK_TYPES, { product_id: KEYS.product }],
  'kept for a purchase': [KEPT_TYPES, { product_id: KEYS.product, purchase_id: KEYS.purchase }],
  'step of a purchase': [PURCHASE_TYPES, { ...ofPayment, purchase_id: KEYS.purchase, customer_id: KEYS.user }],
  'malformed product': [PRODUCT_TYPES, null],
} as const satisfies Record<string, readonly [readonly string[], object | null]>;
type Kind = keyof typeof KINDS;

/** The key of each kind, and the topic where all types of the kind share one. */
type Table = Readonly<Record<Kind, readonly [key: KeyName, topic?: string, partitions?: 'even' | 'odd']>>;

const EACH_ITS_OWN_TOPIC: Table = {
  'payment by wallet': ['payment'],
  'payment by card': ['payment'],
  'refund to wallet': ['payment'],
  'refund to card': ['payment'],
  'asked of a wallet': ['payment'],
  'movement for a payment': ['payment'],
  'movement by itself': ['wallet'],
  'asked of the gateway': ['payment'],
  'answer of the gateway': ['payment'],
  'old fraud check': ['payment'],
  'old refund asked for, to a wallet': ['payment'],
  'old end of a refund': ['payment'],
  'old request to the gateway': ['payment'],
  malformed: ['stream'],
  'change of a product': ['product', 'product-events'],
  'change of stock': ['product', 'inventory-events'],
  'kept for a purchase': ['product', 'inventory-events'],
  'step of a purchase': ['purchase', 'purchase-events'],
  'malformed product': ['stream', 'product-events'],
};

const ONE = 'events.payments.v1';
const WALLET = 'events.payments.wallet.v1';
const EXTERNAL = 'events.payments.external.v1';

const TABLES: Readonly<Record<string, Table>> = {
  'by-type': EACH_ITS_OWN_TOPIC,
  granular: EACH_ITS_OWN_TOPIC,
  single: {
    'payment by wallet': ['user', ONE, 'even'],
    'payment by card': ['payment', ONE, 'odd'],
    'refund to wallet': ['user', ONE, 'even'],
    'refund to card': ['payment', ONE, 'odd'],
    'asked of a wallet': ['user', ONE, 'even'],
    'movement for a payment': ['user', ONE, 'even'],
    'movement by itself': ['user', ONE, 'even'],
    'asked of the gateway': ['payment', ONE, 'odd'],
    'answer of the gateway': ['payment', ONE, 'odd'],
    'old fraud check': ['payment', ONE, 'odd'],
    'old refund asked for, to a wallet': ['payment', ONE, 'even'],
    'old end of a refund': ['payment', ONE, 'odd'],
    'old request to the gateway': ['payment', ONE, 'odd'],
    malformed: ['stream', ONE, 'odd'],
    'change of a product': ['product', 'product-events'],
    'change of stock': ['product', 'inventory-events'],
    'kept for a purchase': ['product', 'inventory-events'],
    'step of a purchase': ['purchase', 'purchase-events'],
    'malformed product': ['stream', 'product-events'],
  },
  'by-flow': {
    'payment by wallet': ['user', WALLET],
    'payment by card': ['payment', EXTERNAL],
    'refund to wallet': ['user', WALLET],
    'refund to card': ['payment', EXTERNAL],
    'asked of a wallet': ['user', WALLET],
    'movement for a payment': ['user', WALLET],
    'movement by itself': ['user', WALLET],
    'asked of the gateway': ['payment', EXTERNAL],
    'answer of the gateway': ['payment', EXTERNAL],
    'old fraud check': ['payment', EXTERNAL],
    'old refund asked for, to a wallet': ['payment', WALLET],
    'old end of a refund': ['payment', EXTERNAL],
    'old request to the gateway': ['payment', EXTERNAL],
    malformed: ['stream', EXTERNAL],
    'change of a product': ['product', 'product-events'],
    'change of stock': ['product', 'inventory-events'],
    'kept for a purchase': ['product', 'inventory-events'],
    'step of a purchase': ['purchase', 'purchase-events'],
    'malformed product': ['stream', 'product-events'],
  },
  'by-service': {
    'payment by wallet': ['user', 'payment-events'],
    'payment by card': ['user', 'payment-events'],
    'refund to wallet': ['user', 'payment-events'],
    'refund to card': ['user', 'payment-events'],
    'asked of a wallet': ['user', 'payment-events'],
    'movement for a payment': ['wallet', 'wallet-events'],
    'movement by itself': ['wallet', 'wallet-events'],
    'asked of the gateway': ['user', 'payment-events'],
    'answer of the gateway': ['payment', 'gateway-events'],
    'old fraud check': ['payment', 'payment-events'],
    'old refund asked for, to a wallet': ['payment', 'payment-events'],
    'old end of a refund': ['payment', 'payment-events'],
    'old request to the gateway': ['payment', 'payment-events'],
    malformed: ['stream', 'payment-events'],
    'change of a product': ['product', 'product-events'],
    'change of stock': ['product', 'inventory-events'],
    'kept for a purchase': ['product', 'inventory-events'],
    'step of a purchase': ['purchase', 'purchase-events'],
    'malformed product': ['stream', 'product-events'],
  },
};

/** The names that are promised to others. */
const PROMISED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'by-type': {
    'payments.created': 'payments.created',
    'payments.checked': 'payments.checked',
    'wallet.debit.requested': 'wallet.debit.requested',
    'wallet.debited': 'wallet.response',
    'wallet.debit.declined': 'wallet.response',
    'wallet.credited': 'wallet.credited',
    'gateway.charge.answered': 'gateway.charge.answered',
  },
  granular: {
    'payments.created': 'saga.events.payment.requested.v1',
    'payments.approved': 'saga.events.payment.completed.v1',
    'payments.declined': 'saga.events.payment.completed.v1',
    'payments.failed': 'saga.events.payment.completed.v1',
    'wallet.debited': 'wallet.events.funds.debited.v1',
    'wallet.debit.declined': 'wallet.events.funds.insufficient.v1',
    'gateway.charge.sent': 'payment.events.sent_to_gateway.v1',
    'gateway.charge.answered': 'payment.events.gateway.response.v1',
  },
};

const COMMON = ['product-events', 'inventory-events', 'purchase-events', 'audit-logs'];
const DEAD_LETTERS = ['payments.dlq', 'wallet.dlq', 'gateway.dlq', 'commerce.dlq'];
/** Topics that have not 6 partitions. */
const SIZES: Readonly<Record<string, number>> = {
  [ONE]: 12,
  [WALLET]: 12,
  [EXTERNAL]: 12,
  'payment-events': 24,
  'wallet-events': 16,
  'gateway-events': 12,
};

function eventOf(type: string, data: object | null) {
  return recorded('any', KEYS.stream, [{ type, data: data as object }])[0]!;
}

function partitionOf(key: string, count: number, which?: 'even' | 'odd'): number {
  if (which === undefined) return crc32(key) % count;
  return 2 * (crc32(key) % (count / 2)) + (which === 'odd' ? 1 : 0);
}

function topicOf(topology: Topology, type: string): string {
  return topology.routes.get(type)![0]!.topic;
}

for (const topology of TOPOLOGIES) {
  describe(`the topology ${topology.name}`, () => {
    for (const [kind, [keyName, shared, which]] of Object.entries(TABLES[topology.name]!)) {
      test(`${kind}: by ${keyName}${shared === undefined ? '' : ` on ${shared}`}`, () => {
        const [types, data] = KINDS[kind as Kind];
        for (const type of types) {
          const topic = shared ?? topicOf(topology, type);
          const key = KEYS[keyName];
          const expected = { topic, partition: partitionOf(key, SIZES[topic] ?? 6, which), key };
          assert.deepEqual(placeOf(topology, eventOf(type, data)), expected, type);
        }
      });
    }

    test('has every event type of every service but the internal ones', () => {
      const produced = defaultServices().flatMap(({ produces }) => produces.map(({ type }) => type));
      const internal = ['payments.saga.advanced', 'gateway.attempt.recorded', 'purchase.saga.advanced'];
      assert.deepEqual([...topology.routes.keys()].sort(), produced.filter((type) => !internal.includes(type)).sort());
      for (const type of internal) assert.deepEqual(placesOf(topology, eventOf(type, ofPayment)), []);
    });

    test('has the topics of the shop, the audit log and the dead letters, and every size', () => {
      const used = [...topology.routes.values()].flat().flatMap(({ topic, copies = [] }) => [topic, ...copies]);
      const dead = topology.name === 'single' ? ['events.dlq.v1'] : DEAD_LETTERS;
      const expected = [...new Set([...used, ...COMMON, ...dead])];
      assert.deepEqual(topology.topics.map(({ name }) => name).sort(), expected.sort());
      for (const { name, partitions } of topology.topics) assert.equal(partitions, SIZES[name] ?? 6, name);
    });
  });
}

for (const [name, topics] of Object.entries(PROMISED)) {
  test(`${name}: topics are called as promised`, () => {
    const topology = topologyOf({ topology: name });
    for (const [type, topic] of Object.entries(topics)) assert.equal(topicOf(topology, type), topic, type);
  });
}

test('granular: topics are called <domain>.<entity>.<action>.<version>, and what ends a payment is copied for metrics', () => {
  const topology = topologyOf({ topology: 'granular' });
  for (const type of topology.routes.keys())
    if (!COMMON.includes(topicOf(topology, type)))
      assert.match(topicOf(topology, type), /^[a-z]+\.events\.[a-z_.]+\.v1$/, type);
  const places = placesOf(topology, eventOf('payments.declined', { id: KEYS.payment, ...byWallet }));
  const topics = ['saga.events.payment.completed.v1', 'metrics.events.payment.completed.v1'];
  const partition = partitionOf(KEYS.payment, 6);
  assert.deepEqual(
    places,
    topics.map((topic) => ({ topic, partition, key: KEYS.payment })),
  );
});

test('by-service: a type is on the topic of the service that produces it', () => {
  const topology = topologyOf({ topology: 'by-service' });
  const topics: Readonly<Record<string, string>> = {
    wallets: 'wallet-events',
    gateway: 'gateway-events',
    catalog: 'product-events',
    inventory: 'inventory-events',
    purchases: 'purchase-events',
  };
  for (const { name, produces } of defaultServices())
    for (const { type } of produces)
      if (topology.routes.has(type)) assert.equal(topicOf(topology, type), topics[name] ?? 'payment-events', type);
});

test('a name that there is not is refused with those that there are', () => {
  assert.throws(
    () => topologyOf({ topology: 'by-moon' }),
    new ConfigError('CAUDAL_TOPOLOGY=by-moon: known are by-type, single, by-flow, by-service, granular'),
  );
});
