import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newStream } from '../../support/appending.ts';
import { describeBackends } from '../../support/backends.ts';
import { startToyProcess } from '../../support/toy-process.ts';
import { toyTopology } from '../../support/toy-service.ts';
import { additionsMade, checkExactlyOnce, openToyClient } from '../../support/toy-work.ts';
import { until } from '../../support/until.ts';

const IDS = Array.from({ length: 12 }, () => newStream().id);

/** Requests that differ, for twelve counters in turn. */
function wave(number: number, count: number) {
  return Array.from({ length: count }, (_, i) => ({ counter_id: IDS[i % IDS.length]!, n: number * 1000 + i + 1 }));
}

describeBackends('a processor', (open) => {
  test('carries every request out once, in the order of its key', async (t) => {
    const backend = await open(t);
    const toy = await startToyProcess(t, backend);
    const client = await openToyClient(t, backend, [toy]);
    for (let n = 0; n < 4; n++) await client.ask(...wave(n, 50));
    await additionsMade(backend.store, 200);
    await checkExactlyOnce(backend.store);
  });

  test('goes on where its predecessor stopped', async (t) => {
    const backend = await open(t);
    for (let n = 0; n < 3; n++) {
      const toy = await startToyProcess(t, backend);
      const client = await openToyClient(t, backend, [toy]);
      await client.ask(...wave(n, 40));
      await toy.processor.stop();
    }
    await startToyProcess(t, backend);
    await additionsMade(backend.store, 120);
    await checkExactlyOnce(backend.store);
  });

  test('decides anew when another has written to the same stream', async (t) => {
    const backend = await open(t);
    const topology = toyTopology((event) => event.aggregateId);
    const options = { topology, settings: { maxBatchMessages: 3 } };
    const [one, two] = [await startToyProcess(t, backend, options), await startToyProcess(t, backend, options)];
    const client = await openToyClient(t, backend, [one, two]);
    await until('both have partitions', () => one.consumer.owned.length === 2 && two.consumer.owned.length === 2);
    const hot = newStream().id;
    await client.ask(...Array.from({ length: 60 }, (_, n) => ({ counter_id: hot, n: n + 1 })));
    await additionsMade(backend.store, 60);
    const { state, position } = await one.processor.load<{ total: number }>('counter', hot);
    assert.deepEqual([state.total, position], [1830, 60]);
    assert.ok(one.conflicts() + two.conflicts() > 0, 'they met');
  });

  test('shares the partitions with others, who take over when it stops', async (t) => {
    const backend = await open(t);
    const one = await startToyProcess(t, backend);
    const client = await openToyClient(t, backend, [one]);
    await client.ask(...wave(0, 30));
    const two = await startToyProcess(t, backend);
    const both = await openToyClient(t, backend, [one, two]);
    for (let n = 1; n < 5; n++) await both.ask(...wave(n, 30));
    await until('both have partitions', () => one.consumer.owned.length === 2 && two.consumer.owned.length === 2);
    for (let n = 5; n < 8; n++) await both.ask(...wave(n, 30));
    await one.processor.stop();
    for (let n = 8; n < 10; n++) await both.ask(...wave(n, 30));
    await additionsMade(backend.store, 300);
    await checkExactlyOnce(backend.store);
  });
});
