import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { UnavailableError } from '#kernel/core/errors.ts';
import { createIdSource } from '#kernel/core/ids.ts';
import type { Processor } from '#kernel/processor/processor.ts';
import { newStream } from '../../support/appending.ts';
import { describeBackends } from '../../support/backends.ts';
import { faultyView } from '../../support/faulty.ts';
import { startToyProcess } from '../../support/toy-process.ts';
import type { ToyFaults } from '../../support/toy-service.ts';
import { additions, additionsMade, checkExactlyOnce, openToyClient } from '../../support/toy-work.ts';
import { until } from '../../support/until.ts';

const IDS = Array.from({ length: 8 }, () => newStream().id);
const ids = createIdSource();

function wave(number: number, count = 30) {
  return Array.from({ length: count }, (_, i) => ({ counter_id: IDS[i % IDS.length]!, n: number * 1000 + i + 1 }));
}

function addOne(processor: Processor, key?: string) {
  const id = newStream().id;
  const expiresAt = Date.now() + 60_000;
  return processor.execute({
    commands: [{ aggregate: 'counter', id, command: { id, n: 1 } }],
    ...(key !== undefined && { keys: [{ scope: 'http', key, requestHash: 'h', expiresAt }] }),
    traceId: ids.traceId(),
    answer: () => ({ id }),
  });
}

describeBackends('an outage of the store', (open) => {
  test('is told to those who ask meanwhile; messages wait, and work goes on by itself', async (t) => {
    const backend = await open(t);
    const view = faultyView(backend);
    const toy = await startToyProcess(t, backend, view);
    const client = await openToyClient(t, backend, [toy]);
    await client.ask(...wave(0));
    await additionsMade(backend.store, 30);
    view.switches.down = true;
    await client.ask(...wave(1));
    await assert.rejects(addOne(toy.processor), UnavailableError);
    await until('it is known', () => !toy.processor.status().available);
    await assert.rejects(addOne(toy.processor), UnavailableError);
    assert.equal((await additions(backend.store)).length, 30);
    view.switches.down = false;
    await until('it goes on', () => toy.processor.status().available);
    await client.ask(...wave(2));
    await additionsMade(backend.store, 90);
    await checkExactlyOnce(backend.store);
    await addOne(toy.processor);
  });

  test('just after a commit doubles nothing', async (t) => {
    const backend = await open(t);
    const view = faultyView(backend);
    const toy = await startToyProcess(t, backend, view);
    const client = await openToyClient(t, backend, [toy]);
    for (let n = 0; n < 5; n++) {
      view.switches.lostAnswers = 1;
      await client.ask(...wave(n));
      await until('an answer was lost', () => view.switches.lostAnswers === 0);
    }
    await additionsMade(backend.store, 150);
    await checkExactlyOnce(backend.store);
  });

  test('between a request and its answer: asking again with its key gives the answer', async (t) => {
    const backend = await open(t);
    const view = faultyView(backend);
    const toy = await startToyProcess(t, backend, view);
    view.switches.lostAnswers = 1;
    await assert.rejects(addOne(toy.processor, 'once'), UnavailableError);
    await until('it goes on', () => toy.processor.status().available);
    const again = await addOne(toy.processor, 'once');
    assert.equal(again.replayed, true);
    assert.equal((await additions(backend.store)).length, 1);
  });
});

describeBackends('a process that dies', (open) => {
  test('without leaving is replaced after its lease; when it comes back it joins anew', async (t) => {
    const backend = await open(t);
    const view = faultyView(backend);
    const leaseMs = 300;
    const one = await startToyProcess(t, backend, { ...view, leaseMs });
    const two = await startToyProcess(t, backend, { leaseMs });
    const client = await openToyClient(t, backend, [one, two]);
    await until('both have partitions', () => one.consumer.owned.length === 2 && two.consumer.owned.length === 2);
    await client.ask(...wave(0));
    view.switches.down = true;
    await client.ask(...wave(1));
    for (let made = 0; made < 60; made = (await additions(backend.store)).length) {
      backend.clock.advance(20);
      await sleep(20);
    }
    await until('two has all', () => two.consumer.owned.length === 4);
    view.switches.down = false;
    await until('they share again', () => one.consumer.owned.length === 2 && two.consumer.owned.length === 2);
    await client.ask(...wave(2));
    await additionsMade(backend.store, 90);
    await checkExactlyOnce(backend.store);
  });

  test('only for the others does nothing any more with what it still holds', async (t) => {
    const backend = await open(t);
    const view = faultyView(backend);
    const faults: ToyFaults = { decide: () => new Error('later') };
    const leaseMs = 300;
    const one = await startToyProcess(t, backend, { ...view, leaseMs, faults });
    const client = await openToyClient(t, backend, [one]);
    await client.ask({ counter_id: IDS[0]!, n: 1 }, { counter_id: IDS[1]!, n: 2 });
    await until('both failed', async () => (await backend.errorLog()).length === 2);
    view.switches.mute = true;
    const two = await startToyProcess(t, backend, { leaseMs, faults });
    await until('two has all', () => {
      backend.clock.advance(5);
      return two.consumer.owned.length === 4;
    });
    faults.decide = undefined;
    backend.clock.advance(5000);
    one.processor.refreshRetries();
    two.processor.refreshRetries();
    await additionsMade(backend.store, 2);
    await sleep(100);
    await checkExactlyOnce(backend.store);
  });
});
