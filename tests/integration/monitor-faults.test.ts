import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { createConsumer } from '#kernel/bus/consumer.ts';
import { createTail } from '#kernel/bus/tail.ts';
import { systemClock } from '#kernel/core/clock.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { type LogPosition, positionIn } from '#kernel/core/log-position.ts';
import type { Store } from '#kernel/event-store/store.ts';
import type { Auditor } from '#src/invariants/auditor.ts';
import type { BoundedMemory } from '#src/invariants/memory.ts';
import { createMonitor } from '#src/invariants/monitor.ts';
import { append, newStream, openWriter } from '../support/appending.ts';
import { type Backend, describeBackends } from '../support/backends.ts';
import { onEnd } from '../support/cleanup.ts';
import { type FaultyView, faultyView } from '../support/faulty.ts';
import { toyTopology } from '../support/toy-service.ts';

const LEASE_MS = 10_000;

/** An auditor that takes every event for an offence, with a memory that must always be that of its position. */
function createWitness(onObserved: () => void) {
  let known: Record<number, number> | undefined;
  const observed: string[] = [];
  const recall = async (_: readonly RecordedEvent[], position: LogPosition): Promise<void> => {
    known ??= { ...position };
    for (const chain of Object.keys(position)) assert.equal(known[Number(chain)], positionIn(position, Number(chain)));
  };
  const observe = (event: RecordedEvent) => {
    assert.equal(event.chainPosition, positionIn(known!, event.chain) + 1);
    known![event.chain] = event.chainPosition;
    observed.push(event.id);
    onObserved();
    return [{ invariant: 'balanced' as const, message: event.id, eventId: event.id }];
  };
  const clear = (): void => {
    known = undefined;
  };
  return {
    observed,
    auditor: { observe } as unknown as Auditor,
    memory: { recall, clear } as unknown as BoundedMemory,
  };
}

async function startMonitor(
  t: TestContext,
  { store, groups }: Pick<FaultyView, 'store' | 'groups'>,
  onObserved: () => void = () => undefined,
) {
  const tail = createTail();
  const kept = new Set<string>();
  const consumer = createConsumer(
    {
      ...{ name: 'monitor', member: randomUUID(), types: ['counter.added'], exclusive: true },
      ...{ maxInbox: 1, fetchSize: 5, leaseMs: LEASE_MS },
    },
    { store, groups, tail, topologies: [toyTopology()] },
  );
  const witness = createWitness(onObserved);
  const monitor = createMonitor(
    { eventsPerSecond: 100_000, pageEvents: 5 },
    {
      ...{ store, consumer, auditor: witness.auditor, memory: witness.memory, checks: [], clock: systemClock },
      checkSeal: () => undefined,
      isBusy: () => false,
      keep: async (findings) => {
        for (const { message } of findings) kept.add(message);
      },
    },
  );
  await monitor.start();
  onEnd(t, () => monitor.stop());
  const pass = (): Promise<void> => {
    tail.wake();
    return monitor.pass();
  };
  return { monitor, pass, kept, observed: witness.observed };
}

/** Appends events one by one to streams of their own. @returns their ids */
async function fill(t: TestContext, store: Store, count: number): Promise<readonly string[]> {
  const writer = await openWriter(t, store, 'adder');
  const ids: string[] = [];
  for (let n = 0; n < count; n++) {
    const { events } = await writer.commit({ appends: [append(newStream(), 0)] });
    ids.push(events[0]!.id);
  }
  return ids;
}

function viewOf(backend: Backend): FaultyView {
  return faultyView(backend);
}

describeBackends('the monitor, when things fail', (open) => {
  test('keeps what it finds once it can, and shows each event once when nothing fails', async (t) => {
    const backend = await open(t);
    const ids = await fill(t, backend.store, 23);
    const { pass, kept, observed, monitor } = await startMonitor(t, viewOf(backend));
    await pass();
    assert.deepEqual(observed, ids);
    assert.deepEqual([...kept], ids);
    assert.equal(await monitor.lag(), 0);
  });

  test('loses nothing when the store is out of reach in mid-page', async (t) => {
    const backend = await open(t);
    const view = viewOf(backend);
    let fails = false;
    const { pass, kept, monitor } = await startMonitor(t, view, () => {
      view.switches.down = fails;
    });
    const ids: string[] = [];
    for (let round = 0; round < 4; round++) {
      ids.push(...(await fill(t, backend.store, 7)));
      fails = true;
      await assert.rejects(pass(), /out of reach/);
      await assert.rejects(pass(), /out of reach/);
      fails = false;
      view.switches.down = false;
      await pass();
      assert.deepEqual([...kept], ids);
    }
    assert.equal(await monitor.lag(), 0);
  });

  test('joins again when it was put out, and goes on where it was', async (t) => {
    const backend = await open(t);
    const { pass, observed } = await startMonitor(t, viewOf(backend));
    const ids = [...(await fill(t, backend.store, 7))];
    await pass();
    backend.clock.advance(1);
    const view = await backend.groups.heartbeat('monitor', 'somebody', -LEASE_MS);
    assert.deepEqual(view.members, []);
    ids.push(...(await fill(t, backend.store, 7)));
    await assert.rejects(pass(), /no longer a member/);
    await pass();
    assert.deepEqual([...new Set(observed)], ids);
  });
});
