import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Decider } from '../core/decider.ts';
import { accept } from '../core/result.ts';
import { createMemoryStore } from '../event-store/memory/store.ts';
import type { PendingEvent, StreamLoad } from '../event-store/store.ts';
import { createStateCache } from './states.ts';

const REF = { type: 'counter', id: '01900000-0000-7000-8000-000000000001' };

const counter = {
  aggregate: 'counter',
  stateVersion: 1,
  initial: 0,
  evolve: (total: number, event: { readonly data: object }) => total + (event.data as { n: number }).n,
  decide: () => accept([]),
} as unknown as Decider;

function added(n: number): PendingEvent {
  const metadata = { correlationid: REF.id, traceparent: '' };
  return { id: `0190000${n}-0000-7000-8000-000000000002`, type: 'added', version: 1, time: 0, data: { n }, metadata };
}

/** A stream that another process writes to, and a cache that counts what it reads of it. */
async function open() {
  const store = createMemoryStore({ now: () => 0 });
  const writer = await store.openWriter('another process');
  const asked: StreamLoad[] = [];
  let events = 0;
  const watched = {
    ...store,
    loadStreams: async (streams: readonly StreamLoad[]) => {
      asked.push(...streams);
      const loaded = await store.loadStreams(streams);
      for (const stream of loaded) events += stream.events.length;
      return loaded;
    },
  };
  return {
    states: createStateCache(watched, [counter], 10),
    asked,
    eventsRead: () => events,
    append: (expectedPosition: number, ...ns: number[]) =>
      writer.commit({ appends: [{ stream: REF, expectedPosition, events: ns.map(added) }] }),
  };
}

test('a state in doubt is not given; looked at again, it is what the others have made of it, and only that is read', async () => {
  const { states, asked, eventsRead, append } = await open();
  await append(0, 1, 2, 3);
  await states.load([REF]);
  assert.equal(states.get(REF)!.state, 6);
  await append(3, 4, 5);
  states.doubt();
  assert.equal(states.get(REF), undefined);
  const [state] = await states.load([REF]);
  assert.deepEqual([state!.state, state!.position], [15, 5]);
  assert.equal(states.get(REF), state);
  assert.equal(asked.at(-1)!.after!.position, 3);
  assert.equal(eventsRead(), 5);
});

test('one that nobody has changed is as it was, with the month of its last event', async () => {
  const { states, eventsRead, append } = await open();
  await append(0, 1);
  const [before] = await states.load([REF]);
  states.doubt();
  assert.deepEqual(await states.load([REF]), [before]);
  assert.equal(eventsRead(), 1);
});

test('one that was found wrong is read whole', async () => {
  const { states, asked, append } = await open();
  await append(0, 1);
  await states.load([REF]);
  states.delete(REF);
  await states.load([REF]);
  assert.equal(asked.at(-1)!.after, undefined);
});
