import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { type BusUnderTest, describeBuses } from '../../support/buses.ts';
import { until } from '../../support/until.ts';

const KEYS = Array.from({ length: 12 }, (_, i) => `key-${i}`);

/** Every event was handled once, and those of a key in their order. */
function checkHandled(handled: readonly RecordedEvent[], times: number): void {
  for (const key of KEYS) {
    const numbers = handled.filter((event) => event.data.key === key).map((event) => event.data.n);
    assert.deepEqual(
      numbers,
      Array.from({ length: times }, (_, i) => i + 1),
      `the events of ${key}`,
    );
  }
}

async function publishAll(bus: BusUnderTest, times: number): Promise<void> {
  for (let i = 0; i < times; i++) await bus.publish(...KEYS);
}

async function handledAll({ handled }: BusUnderTest, times: number): Promise<void> {
  await until(`${times} events of each key were handled`, () => handled.length >= KEYS.length * times, 40_000);
  // Whatever would come twice has the time to.
  await sleep(100);
  checkHandled(handled, times);
}

describeBuses('a bus', (open) => {
  test('hands every event out once, those of a key in order, the same as they were appended', async (t) => {
    const bus = await open(t);
    await bus.member();
    await publishAll(bus, 20);
    await handledAll(bus, 20);
    const { events } = await bus.backend.store.readLog({}, { limit: 1000 });
    const byId = new Map(events.map((event) => [event.id, event]));
    // In which store it was appended, a bus of several knows besides.
    for (const { sequence: _, store: _store, ...event } of bus.handled) {
      const { sequence: __, ...appended } = byId.get(event.id)!;
      assert.deepEqual(event, appended);
    }
  });

  test('keeps what is published while nobody consumes, and goes on where the last consumer stopped', async (t) => {
    const bus = await open(t);
    await publishAll(bus, 5);
    const first = await bus.member();
    await handledAll(bus, 5);
    await first.stop();
    await publishAll(bus, 5);
    await bus.member();
    await handledAll(bus, 10);
  });

  test('hands out again what was taken and not committed', async (t) => {
    const bus = await open(t);
    const member = await bus.member();
    await publishAll(bus, 3);
    await handledAll(bus, 3);
    let refusals = 3;
    member.beforeCommit = async () => {
      if (refusals-- > 0) await bus.putOutAll();
    };
    await publishAll(bus, 3);
    await handledAll(bus, 6);
    assert.ok(member.expelled() > 0, 'it was put out with work in hand');
  });

  test('leaves out events of other types', async (t) => {
    const bus = await open(t);
    await bus.member();
    for (let i = 0; i < 5; i++) {
      await bus.publishForeign(...KEYS, ...KEYS);
      await bus.publish(...KEYS);
    }
    await handledAll(bus, 5);
  });

  test('shares the partitions among members, and moves them when one comes or goes, with nothing handled twice', async (t) => {
    const bus = await open(t);
    const one = await bus.member();
    let rounds = 0;
    let publishing = true;
    const load = (async () => {
      for (; publishing; rounds++) {
        await bus.publish(...KEYS);
        await sleep(10);
      }
    })();
    await until('the first has all', () => one.consumer.owned.length === 4);
    const two = await bus.member();
    await until('both have partitions', () => one.consumer.owned.length === 2 && two.consumer.owned.length === 2);
    await one.stop();
    await until('the second has all', () => two.consumer.owned.length === 4);
    await sleep(200);
    publishing = false;
    await load;
    await handledAll(bus, rounds);
  });

  test('refuses the work of a member that was put out, which another has done by then', async (t) => {
    const bus = await open(t);
    const stale = await bus.member();
    await until('it has all', () => stale.consumer.owned.length === 4);
    let wakeUp: () => void = () => undefined;
    const asleep = new Promise<void>((resolve) => {
      stale.beforeCommit = () => {
        resolve();
        return new Promise((wake) => (wakeUp = wake));
      };
    });
    await publishAll(bus, 2);
    await asleep;
    await bus.putOutAll();
    stale.beforeCommit = async () => undefined;
    await bus.member();
    await publishAll(bus, 2);
    wakeUp();
    await until('it knows', () => stale.expelled() > 0);
    await handledAll(bus, 4);
  });

  test('keeps no more in memory than it may, and loses nothing of what is beyond', async (t) => {
    const bus = await open(t);
    const member = await bus.member({ maxInbox: 30 });
    let most = 0;
    member.beforeCommit = async () => {
      most = Math.max(most, member.consumer.pending);
      await sleep(1);
    };
    await publishAll(bus, 40);
    await handledAll(bus, 40);
    assert.ok(most < KEYS.length * 40 * 0.75, `${most} waited in memory`);
  });

  test('tells its lag, which ends', async (t) => {
    const bus = await open(t);
    const member = await bus.member();
    let go: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    member.beforeCommit = () => gate;
    await publishAll(bus, 3);
    await until('there is a lag', async () => (await member.consumer.lag()) > 0);
    go();
    await handledAll(bus, 3);
    await until('the lag ends', async () => (await member.consumer.lag()) === 0);
  });
});
