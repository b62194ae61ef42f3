import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { partitionName } from '#kernel/bus/group.ts';
import { lanesOf, placeOf, topicsOf } from '#kernel/bus/topology.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { SERVICE_NAMES } from '#src/config.ts';
import { createAuditor, paymentOf } from '#src/invariants/auditor.ts';
import { TOPOLOGIES } from '#src/topologies.ts';
import { createSimulator } from '../../../simulator/server.ts';
import { wholeLog } from '../../support/appending.ts';
import { type InjectedApi, startInjectedApi } from '../../support/injected-api.ts';
import { assertLedgerBalanced, balanceOf, move, newUser, pay, refund, walletWith } from '../../support/money.ts';
import { until } from '../../support/until.ts';

const simulator = createSimulator({ host: '127.0.0.1', port: 0, webhookSecret: 'secret', log: () => {} });
const { url: gatewayUrl } = await simulator.start();
after(() => simulator.stop());

/** On these, all events of a payment stand on one partition. */
const ONE_PARTITION = ['single', 'by-flow'];

for (const topology of TOPOLOGIES) {
  describe(`on the topology ${topology.name}`, () => {
    let api: InjectedApi;
    before(async () => {
      api = await startInjectedApi({ topology: topology.name, gatewayUrl, services: SERVICE_NAMES });
    });
    after(() => api.close());

    /** Puts a fraud check on the bus that nobody can handle. */
    const poison = async (): Promise<void> => {
      const { store, tail } = api;
      const { ids, clock } = api.context;
      const id = ids.uuid();
      const metadata = { correlationid: id, traceparent: `00-${ids.traceId()}-00f067aa0ba902b7-01` };
      const event = { id: ids.uuid(), type: 'payments.checked', version: 1, time: clock.now(), data: { id }, metadata };
      const writer = await store.openWriter('test');
      await writer.commit({ appends: [{ stream: { type: 'test', id }, expectedPosition: 0, events: [event] }] });
      await writer.close();
      tail.wake();
    };

    test('payments by wallet and by card, refunds and direct movements come to their end', async () => {
      const user = await walletWith(api, '100.00');
      const byWallet = { method: 'wallet', customer_id: user };
      const [paid, tooMuch, charged, declined] = await Promise.all([
        pay(api, { ...byWallet, amount: '60.00' }),
        pay(api, { ...byWallet, amount: '500.00' }),
        pay(api, { customer_id: user }),
        pay(api, { customer_id: newUser(), payment_token: 'tok_insufficient_funds' }),
      ]);
      const ends = [paid, tooMuch, charged, declined].map(({ status, reason }) => `${status} ${reason}`);
      const noFunds = 'DECLINED insufficient_funds';
      assert.deepEqual(ends, ['APPROVED success', noFunds, 'APPROVED success', noFunds]);
      await move(api, 'credits', user, '5.00', 'a deposit');
      const refunds = [refund(api, paid.id, { amount: '20.00' }), refund(api, charged.id)];
      for (const { status } of await Promise.all(refunds)) assert.equal(status, 'SUCCEEDED');
      assert.equal(await balanceOf(api, user), 10_000 - 6_000 + 500 + 2_000);
      await assertLedgerBalanced(api);
    });

    test('a message that nobody can handle goes to the dead letters of the topology', async () => {
      await poison();
      const letters = async () => (await api.get('/api/v1/dlq')).body.data;
      await until('there is a dead letter', async () => (await letters()).length === 1);
      const [{ dlq_topic, original_topic }] = await letters();
      assert.equal(dlq_topic, topology.name === 'single' ? 'events.dlq.v1' : 'payments.dlq');
      assert.equal(original_topic, topology.routes.get('payments.checked')!.at(-1)!.topic);
    });

    test('every service has the partitions of its topics, and the log holds what the invariants demand', async () => {
      const { definitions, kernel, sql } = api;
      const rows = await sql.query<{ consumer: string; topic: string; partition: number }>(
        'SELECT consumer, topic, partition FROM bus_partitions',
      );
      for (const [name, { reactions }] of definitions) {
        const owned = rows.filter(({ consumer }) => consumer === name).map(partitionName);
        const expected = topicsOf(topology, Object.keys(reactions)).flatMap((topic) =>
          Array.from({ length: topic.partitions }, (_, partition) => partitionName({ topic: topic.name, partition })),
        );
        assert.deepEqual(owned.sort(), expected.sort(), name);
      }
      const events = (await wholeLog(kernel.backend.store)).filter(({ aggregateType }) => aggregateType !== 'test');
      const auditor = createAuditor(lanesOf([topology]));
      assert.deepEqual(events.flatMap(auditor.observe), []);
      assert.deepEqual(auditor.atRest(), []);
      if (ONE_PARTITION.includes(topology.name)) checkPartitions(events);
    });

    function checkPartitions(events: readonly RecordedEvent[]): void {
      const partitions = Map.groupBy(events, paymentOf);
      partitions.delete(undefined);
      assert.equal(partitions.size, 4);
      for (const [payment, its] of partitions) {
        const names = its.flatMap((event) => placeOf(topology, event) ?? []).map(partitionName);
        assert.deepEqual([...new Set(names)].length, 1, payment);
      }
    }
  });
}
