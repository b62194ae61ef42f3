import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { placeOf } from '#kernel/bus/topology.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import type { Reaction } from '#kernel/processor/service.ts';
import { PAYMENT_METHODS } from '#services/payments/contract.ts';
import { walletIdOf } from '#services/wallets/contract.ts';
import { paymentOf } from '#src/invariants/auditor.ts';
import { BLOCKED, createFlow } from '../../tests/support/flow.ts';
import { recorded } from '../../tests/support/recorded.ts';
import { TOPOLOGIES, topologyOf } from '../topologies.ts';
import { KEY_OF_TYPE } from './keys.ts';

const TRACE_ID = 'a'.repeat(32);
const USERS = ['ana', 'ben', BLOCKED, 'without-wallet'];

const paymentIdOf = (n: number): string => `019aaf00-0000-7000-8000-${String(n).padStart(12, '0')}`;
const refundIdOf = (n: number): string => `019aaf00-0000-7000-9000-${String(n).padStart(12, '0')}`;

const payment = (n: number, method: string, customerId: string, amountMinor: number): Reaction => {
  const id = paymentIdOf(n);
  const command = { type: 'CreatePayment', paymentId: id, customerId, method, amountMinor, currency: 'USD' };
  return { aggregate: 'payment', id, command: { ...command, traceId: TRACE_ID } };
};
const opening = (userId: string): Reaction => {
  const id = walletIdOf(userId);
  const command = { type: 'OpenWallet', walletId: id, userId, currency: 'USD', overdraftLimitMinor: 0 };
  return { aggregate: 'wallet', id, command };
};

/** Payments of all kinds, and what may be done with them, in any order. */
const commands: fc.Arbitrary<Reaction> = fc.oneof(
  fc
    .tuple(fc.nat(2), fc.constantFrom(...PAYMENT_METHODS), fc.constantFrom(...USERS), fc.integer({ min: 1, max: 900 }))
    .map((fields) => payment(...fields)),
  fc.tuple(fc.nat(2), fc.nat(9), fc.integer({ min: 1, max: 400 })).map(([n, refund, amountMinor]) => ({
    aggregate: 'payment',
    id: paymentIdOf(n),
    command: { type: 'RequestRefund', refundId: refundIdOf(refund * 3 + n), amountMinor, reason: 'test' },
  })),
  fc.tuple(fc.nat(2), fc.constantFrom('RetryStep', 'Compensate')).map(([n, type]) => ({
    aggregate: 'payment',
    id: paymentIdOf(n),
    command: { type },
  })),
  fc.tuple(fc.constantFrom('ana', 'ben'), fc.constantFrom('Credit', 'Debit')).map(([user, type]) => ({
    aggregate: 'wallet',
    id: walletIdOf(user),
    command: { type, amountMinor: 1000, reason: 'test' },
  })),
);

const outcomes = fc.infiniteStream(fc.constantFrom('succeeded', 'declined', 'refused', 'pending', 'timeout'));

/** What happens on the bus in any run of the services. */
const anyRun: fc.Arbitrary<readonly RecordedEvent[]> = fc
  .tuple(outcomes, fc.array(commands, { maxLength: 30, size: 'max' }))
  .map(([gateway, more]) => {
    const flow = createFlow(() => gateway.next().value!);
    for (const command of [opening('ana'), opening('ben'), ...more]) flow.tell(command);
    return flow.events.filter(({ type }) => type in KEY_OF_TYPE);
  });

function methodsOf(events: readonly RecordedEvent[]): ReadonlyMap<string, string> {
  const created = events.filter(({ type }) => type === 'payments.created');
  return new Map(created.map(({ data }) => [data.id, data.method]));
}

function isOfWallet(event: RecordedEvent, methods: ReadonlyMap<string, string>): boolean {
  const id = paymentOf(event);
  return id === undefined || methods.get(id) === 'wallet';
}

test('the runs have events of every type, but for a wallet that is too full to take money back', () => {
  const types = fc.sample(anyRun, { seed: 1, numRuns: 100 }).flatMap((events) => events.map(({ type }) => type));
  const expected = Object.keys(KEY_OF_TYPE).filter((type) => type !== 'wallet.credit.declined');
  assert.deepEqual([...new Set(types)].sort(), expected.sort());
});

for (const name of ['single', 'by-flow']) {
  const topology = topologyOf({ topology: name });

  test(`${name}: every event of a payment stands on one partition, whatever becomes of it`, () => {
    fc.assert(
      fc.property(anyRun, (events) => {
        const partitions = new Map<string, string>();
        for (const event of events) {
          const { topic, partition, key } = placeOf(topology, event)!;
          const process = paymentOf(event) ?? event.aggregateId;
          const first = partitions.get(process) ?? `${topic} ${partition} ${key}`;
          assert.equal(`${topic} ${partition} ${key}`, first, event.type);
          partitions.set(process, first);
        }
      }),
    );
  });

  test(`${name}: what moves the money of one user by wallet keeps its order, payments and movements alike`, () => {
    fc.assert(
      fc.property(anyRun, (events) => {
        const methods = methodsOf(events);
        for (const event of events) {
          const user = event.data.user_id ?? event.data.customer_id;
          const key = isOfWallet(event, methods) ? user : paymentOf(event);
          assert.equal(placeOf(topology, event)!.key, key, event.type);
        }
      }),
    );
  });
}

test('single: payments by wallet are on even partitions, by card on odd ones', () => {
  const topology = topologyOf({ topology: 'single' });
  fc.assert(
    fc.property(anyRun, (events) => {
      const methods = methodsOf(events);
      for (const event of events)
        assert.equal(placeOf(topology, event)!.partition % 2, isOfWallet(event, methods) ? 0 : 1, event.type);
    }),
  );
});

test('by-service: every event of a user stands on one partition of the payments, and of each wallet on one of the wallets', () => {
  const topology = topologyOf({ topology: 'by-service' });
  fc.assert(
    fc.property(anyRun, (events) => {
      const users = new Map(
        events.filter(({ type }) => type === 'payments.created').map(({ data }) => [data.id, data.customer_id]),
      );
      for (const event of events) {
        const { topic, key } = placeOf(topology, event)!;
        if (topic === 'payment-events') assert.equal(key, users.get(paymentOf(event)!), event.type);
        else if (topic === 'wallet-events') assert.equal(key, event.data.wallet_id, event.type);
        else assert.equal(key, paymentOf(event), event.type);
      }
    }),
  );
});

describe('a payload may hold anything', () => {
  const FIELDS = ['id', 'payment_id', 'user_id', 'customer_id', 'wallet_id', 'method', 'refund_id'];
  const value = fc.oneof(fc.uuid(), fc.constantFrom('wallet', 'credit_card', ''), fc.string(), fc.anything());
  const payload = fc.oneof(
    fc.anything(),
    fc
      .uniqueArray(fc.constantFrom(...FIELDS))
      .chain((names) => fc.record(Object.fromEntries(names.map((n) => [n, value])))),
  );

  for (const topology of TOPOLOGIES) {
    test(`${topology.name}: it has one place all the same, on a partition that exists`, () => {
      fc.assert(
        fc.property(payload, fc.constantFrom(...topology.routes.keys()), (data, type) => {
          const [event] = recorded('any', paymentIdOf(1), [{ type, data: data as object }]);
          const place = placeOf(topology, event!)!;
          const { partitions } = topology.topics.find(({ name }) => name === place.topic)!;
          assert.ok(Number.isInteger(place.partition) && place.partition >= 0 && place.partition < partitions);
          assert.deepEqual(placeOf(topology, again(event!)), place);
        }),
      );
    });
  }
});

/** The same event as another object, as another process reads it. */
function again(event: RecordedEvent): RecordedEvent {
  return { ...event, data: event.data };
}
