import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMemoryStore } from '../event-store/memory/store.ts';
import { createMemoryTables } from '../event-store/memory/tables.ts';
import type { LogPage } from '../event-store/store.ts';
import { type Consumer, createConsumer } from './consumer.ts';
import type { GroupStore } from './group.ts';
import { createMemoryGroupStore } from './memory/group-store.ts';
import { createTail } from './tail.ts';

const CLOCK = { now: () => 1_793_000_000_000 };
const STREAM = '01900000-0000-7000-8000-00000000000';
const METADATA = { correlationid: STREAM, traceparent: '00-0-0-01' };

/** A consumer on a store whose reads of the log do not come back before `arrive` is called. */
async function openConsumer(
  announce: () => Promise<void> = async () => undefined,
  change: (groups: GroupStore) => GroupStore = (groups) => groups,
) {
  const tables = createMemoryTables();
  const store = createMemoryStore(CLOCK, tables);
  const writer = await store.openWriter('writer');
  const tail = createTail();
  tail.alone = false;
  const arrivals: (() => void)[] = [];
  const slow = {
    ...store,
    readLog: async (...args: Parameters<typeof store.readLog>): Promise<LogPage> => {
      const page = await store.readLog(...args);
      await new Promise<void>((resolve) => arrivals.push(resolve));
      return page;
    },
  };
  const settings = {
    name: 'c',
    member: 'm',
    types: ['t'],
    exclusive: true,
    maxInbox: 10,
    fetchSize: 10,
    leaseMs: 1000,
  };
  const topology = { name: 'none', topics: [], routes: new Map() };
  const groups = change(createMemoryGroupStore(tables, CLOCK));
  const consumer: Consumer = createConsumer(settings, { store: slow, groups, tail, topologies: [topology], announce });
  await consumer.start();
  let count = 0;
  const append = async (): Promise<void> => {
    count += 1;
    const event = { id: `${STREAM}${count}`, type: 't', version: 1, time: 0, data: {}, metadata: METADATA };
    const stream = { type: 's', id: `${STREAM}${count}` };
    await writer.commit({ appends: [{ stream, expectedPosition: 0, events: [event] }] });
  };
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  const arrive = async (): Promise<void> => {
    await settle();
    arrivals.shift()?.();
  };
  return { consumer, groups, tail, append, arrive };
}

test('a wake-up that comes while the log is being read is not forgotten', async () => {
  const { consumer, tail, append, arrive } = await openConsumer();
  await append();
  const reading = consumer.maintain();
  await new Promise((resolve) => setImmediate(resolve));
  await append();
  tail.wake();
  await arrive();
  await reading;
  assert.equal(consumer.needsCare, true, 'there is more to read');
  const again = consumer.maintain();
  await arrive();
  await again;
  assert.equal(consumer.take(10)?.events.length, 2);
  assert.equal(consumer.needsCare, false);
});

test('a member that was put out joins again only when it has been announced that it lives', async () => {
  let announced: () => void = () => undefined;
  const { consumer, groups } = await openConsumer(() => new Promise((resolve) => (announced = resolve)));
  const members = async () => (await groups.heartbeat('c', 'somebody', 1000)).members;
  await groups.exchange('c', 'm', consumer.owned, []);
  await groups.leave('c', 'm');
  const joining = consumer.rewind(true);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(await members(), []);
  announced();
  await joining;
  assert.deepEqual(await members(), ['m.1']);
});

test('a member that has lost nothing need not be announced', async () => {
  const { consumer } = await openConsumer(() => assert.fail('nobody takes it for dead'));
  await consumer.rewind(false);
});

test('who is put out before it was given anything is announced, and joins again', async () => {
  let putOut = false;
  let announced = 0;
  const announce = async () => {
    announced += 1;
  };
  const { consumer, groups } = await openConsumer(announce, (all) => ({
    ...all,
    exchange: async (name, member, release, acquire) => {
      if (!putOut) await all.leave(name, member);
      putOut = true;
      return all.exchange(name, member, release, acquire);
    },
  }));
  assert.deepEqual((await groups.heartbeat('c', 'm.1', 1000)).members, ['m.1']);
  assert.equal(announced, 1);
  await consumer.stop();
});
