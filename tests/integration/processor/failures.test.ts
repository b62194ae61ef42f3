import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createIdSource } from '#kernel/core/ids.ts';
import { InvariantError } from '#kernel/core/invariant.ts';
import { newStream } from '../../support/appending.ts';
import { type Backend, describeBackends } from '../../support/backends.ts';
import { startToyProcess } from '../../support/toy-process.ts';
import type { ToyFaults } from '../../support/toy-service.ts';
import { additions, additionsMade, checkExactlyOnce, checkReadModels, openToyClient } from '../../support/toy-work.ts';
import { until } from '../../support/until.ts';

const [A, B, C] = [newStream().id, newStream().id, newStream().id];

/** The numbers that were added to a counter, in order. */
async function addedTo(backend: Backend, id: string): Promise<readonly number[]> {
  return (await additions(backend.store)).filter(({ data }) => data.counter_id === id).map(({ data }) => data.n);
}

/** Waits until the error log looks like this: status and attempts of each message. */
async function logged(backend: Backend, ...expected: readonly string[]): Promise<void> {
  let present: readonly string[] = [];
  try {
    await until('', async () => {
      present = (await backend.errorLog()).map(({ status, attempts }) => `${status} ${attempts}`);
      return present.join() === expected.join();
    });
  } catch {
    assert.deepEqual(present, expected);
  }
}

/** Lets every attempt at the first message of the error log fail. */
async function failForGood(backend: Backend): Promise<void> {
  for (const [i, wait] of [2000, 4000, 8000].entries()) {
    await until('the attempt is made', async () => (await backend.errorLog())[0]?.attempts === i + 1);
    backend.clock.advance(wait);
  }
  await until('it is dead', async () => (await backend.errorLog())[0]?.status === 'open');
}

function failing(n: number): ToyFaults {
  return { decide: (command) => (command.n === n ? new Error('a neighbour is down') : undefined) };
}

describeBackends('a message that fails', (open) => {
  test('is tried at once, after 2, 4 and 8 seconds, and goes to the dead letters; the others go on', async (t) => {
    const backend = await open(t);
    const toy = await startToyProcess(t, backend, { faults: failing(2) });
    const client = await openToyClient(t, backend, [toy]);
    await client.ask({ counter_id: A, n: 1 }, { counter_id: B, n: 2 }, { counter_id: C, n: 3 });
    await logged(backend, 'retrying 1');
    await additionsMade(backend.store, 2);
    for (const [i, wait] of [2000, 4000, 8000].entries()) {
      backend.clock.advance(wait - 1);
      await client.ask({ counter_id: C, n: 10 + i });
      await additionsMade(backend.store, 3 + i);
      await logged(backend, `retrying ${i + 1}`);
      backend.clock.advance(1);
      await logged(backend, i === 2 ? 'open 4' : `retrying ${i + 2}`);
    }
    const [letter] = await backend.errorLog();
    assert.equal(letter!.error, 'a neighbour is down');
    assert.equal(letter!.dlq_topic, 'counters.dlq');
    assert.deepEqual(await addedTo(backend, B), []);
    await checkReadModels(backend.store, await additions(backend.store));
  });

  test('holds the later ones of its key behind it, and none of another key', async (t) => {
    const backend = await open(t);
    const faults = failing(1);
    const toy = await startToyProcess(t, backend, { faults });
    const client = await openToyClient(t, backend, [toy]);
    await client.ask({ counter_id: A, n: 1 }, { counter_id: A, n: 2 }, { counter_id: B, n: 3 });
    await client.ask({ counter_id: A, n: 4 }, { counter_id: B, n: 5 });
    await additionsMade(backend.store, 2);
    await logged(backend, 'retrying 1', 'retrying 0', 'retrying 0');
    assert.deepEqual(await addedTo(backend, A), []);
    faults.decide = undefined;
    backend.clock.advance(2000);
    await additionsMade(backend.store, 5);
    assert.deepEqual(await addedTo(backend, A), [1, 2, 4]);
    await logged(backend);
    await checkExactlyOnce(backend.store);
  });

  test('keeps the order of its key when another process takes the partition', async (t) => {
    const backend = await open(t);
    const faults = failing(1);
    const first = await startToyProcess(t, backend, { faults });
    const client = await openToyClient(t, backend, [first]);
    await client.ask({ counter_id: A, n: 1 }, { counter_id: A, n: 2 });
    await logged(backend, 'retrying 1', 'retrying 0');
    await first.processor.stop();
    await client.ask({ counter_id: A, n: 3 });
    await startToyProcess(t, backend, { faults });
    await logged(backend, 'retrying 1', 'retrying 0', 'retrying 0');
    faults.decide = undefined;
    backend.clock.advance(2000);
    await additionsMade(backend.store, 3);
    assert.deepEqual(await addedTo(backend, A), [1, 2, 3]);
  });

  test('keeps the order of its key when more wait than are looked at', async (t) => {
    const backend = await open(t);
    const faults: ToyFaults = { decide: () => new Error('all is down') };
    const toy = await startToyProcess(t, backend, { faults, settings: { maxWaitingRetries: 3 } });
    const client = await openToyClient(t, backend, [toy]);
    const ids = Array.from({ length: 8 }, () => newStream().id);
    await client.ask(...ids.map((counter_id) => ({ counter_id, n: 1 })));
    await until('more wait than are looked at', async () => (await backend.errorLog()).length >= 4);
    await client.ask(...ids.map((counter_id) => ({ counter_id, n: 2 })));
    faults.decide = undefined;
    for (let made = 0; made < 16; made = (await additions(backend.store)).length) {
      backend.clock.advance(2500);
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    await checkExactlyOnce(backend.store);
    await logged(backend);
  });

  test('lets the later ones of its key go on once it is dead', async (t) => {
    const backend = await open(t);
    const toy = await startToyProcess(t, backend, { faults: failing(1) });
    const client = await openToyClient(t, backend, [toy]);
    await client.ask({ counter_id: A, n: 1 }, { counter_id: A, n: 2 }, { counter_id: A, n: 3 });
    await failForGood(backend);
    await additionsMade(backend.store, 2);
    assert.deepEqual(await addedTo(backend, A), [2, 3]);
    await logged(backend, 'open 4');
  });

  test('is settled as replayed when it succeeds after an operator let it be tried again', async (t) => {
    const backend = await open(t);
    const faults = failing(1);
    const toy = await startToyProcess(t, backend, { faults });
    const client = await openToyClient(t, backend, [toy]);
    await client.ask({ counter_id: A, n: 1 });
    await failForGood(backend);
    await logged(backend, 'open 4');
    faults.decide = undefined;
    await backend.replayDeadLetters();
    toy.processor.refreshRetries();
    await additionsMade(backend.store, 1);
    await until('it is settled', async () => (await backend.errorLog())[0]?.status === 'replayed');
    await checkExactlyOnce(backend.store);
  });

  test('goes to the dead letters at once when it is malformed; the others go on, whoever owns its partition', async (t) => {
    const backend = await open(t);
    const processes = [await startToyProcess(t, backend), await startToyProcess(t, backend)];
    const client = await openToyClient(t, backend, processes);
    await until('both have partitions', () => processes.every(({ consumer }) => consumer.owned.length === 2));
    const malformed = [{}, { counter_id: 7, n: 1 }, { counter_id: A, n: 'one' }, { counter_id: A }, { wrong: [null] }];
    for (const data of malformed) await client.askAnything(data);
    await client.ask({ counter_id: A, n: 1 }, { counter_id: B, n: 2 }, { counter_id: C, n: 3 });
    await additionsMade(backend.store, 3);
    await logged(backend, 'open 1', 'open 1', 'open 1', 'open 1', 'open 1');
  });

  test('is dead at once when the service refuses it', async (t) => {
    const backend = await open(t);
    const toy = await startToyProcess(t, backend);
    const client = await openToyClient(t, backend, [toy]);
    await client.ask({ counter_id: A, n: 0 }, { counter_id: A, n: 2 });
    await additionsMade(backend.store, 1);
    await logged(backend, 'open 1');
    assert.match((await backend.errorLog())[0]!.error, /nothing_to_add/);
  });

  test('is found alone when the database refuses what it leads to', async (t) => {
    const backend = await open(t);
    const toy = await startToyProcess(t, backend);
    const client = await openToyClient(t, backend, [toy]);
    const many = Array.from({ length: 25 }, (_, n) => ({ counter_id: newStream().id, n: n + 1 }));
    await client.ask(
      ...many.slice(0, 10),
      { counter_id: A, n: 99, note: 'refused by the database' },
      ...many.slice(10),
    );
    await additionsMade(backend.store, 25);
    await logged(backend, 'open 1');
    assert.deepEqual(await addedTo(backend, A), []);
    await checkReadModels(backend.store, await additions(backend.store));
  });

  test('is found alone also in a group of several members', async (t) => {
    const backend = await open(t);
    const processes = [await startToyProcess(t, backend), await startToyProcess(t, backend)];
    const client = await openToyClient(t, backend, processes);
    await until('both have partitions', () => processes.every(({ consumer }) => consumer.owned.length === 2));
    const many = Array.from({ length: 40 }, (_, n) => ({ counter_id: newStream().id, n: n + 1 }));
    await client.ask(
      ...many.slice(0, 20),
      { counter_id: A, n: 99, note: 'refused by the database' },
      ...many.slice(20),
    );
    await additionsMade(backend.store, 40);
    await logged(backend, 'open 1');
  });

  test('is found alone, and tried again, when a read model fails on it', async (t) => {
    const backend = await open(t);
    const faults: ToyFaults = {
      project: (event) => (event.data.n === 7 ? new InvariantError('broken invariant: \u0000 \ud800') : undefined),
    };
    const toy = await startToyProcess(t, backend, { faults });
    const client = await openToyClient(t, backend, [toy]);
    await client.ask(
      { counter_id: A, n: 1 },
      { counter_id: B, n: 7 },
      { counter_id: C, n: 3 },
      { counter_id: B, n: 8 },
    );
    await additionsMade(backend.store, 2);
    await logged(backend, 'retrying 1', 'retrying 0');
    faults.project = undefined;
    backend.clock.advance(2000);
    await additionsMade(backend.store, 4);
    await checkExactlyOnce(backend.store);
  });

  test('leaves nothing of what it would have done to several streams', async (t) => {
    const backend = await open(t);
    const [first, second] = [A, B];
    const faults: ToyFaults = { decide: ({ id }) => (id === second ? new Error('not this one') : undefined) };
    const toy = await startToyProcess(t, backend, { faults });
    const client = await openToyClient(t, backend, [toy]);
    await client.ask({ counter_id: first, also_id: second, n: 5 }, { counter_id: C, n: 1 });
    await logged(backend, 'retrying 1');
    await additionsMade(backend.store, 1);
    assert.deepEqual(await addedTo(backend, first), []);
    faults.decide = undefined;
    backend.clock.advance(2000);
    await additionsMade(backend.store, 3);
    assert.deepEqual([await addedTo(backend, first), await addedTo(backend, second)], [[5], [5]]);
    await checkReadModels(backend.store, await additions(backend.store));
  });
});

describeBackends('a request that fails', (open) => {
  test('is refused alone; the others of its batch are answered', async (t) => {
    const backend = await open(t);
    const toy = await startToyProcess(t, backend);
    const ids = createIdSource();
    const ask = (n: number, note?: string) => {
      const id = newStream().id;
      return toy.processor.execute({
        commands: [{ aggregate: 'counter', id, command: { id, n, note } }],
        traceId: ids.traceId(),
        answer: ([result]) => (result!.ok ? result!.value.state.total : result!.refusal.code),
      });
    };
    const notes = [undefined, 'fine', 'a\u0000b', 'fine too', 'refused by the database', undefined];
    const outcomes = await Promise.allSettled(notes.map((note, i) => ask(i, note)));
    assert.deepEqual(
      outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value.answer : outcome.reason.name)),
      ['nothing_to_add', 1, 'DataError', 3, 'DataError', 5],
    );
    await checkReadModels(backend.store, await additions(backend.store));
    assert.equal((await additions(backend.store)).length, 3);
  });

  test('leaves no trace when its answer cannot be made', async (t) => {
    const backend = await open(t);
    const toy = await startToyProcess(t, backend);
    const id = newStream().id;
    const request = {
      commands: [{ aggregate: 'counter', id, command: { id, n: 1 } }],
      traceId: createIdSource().traceId(),
      answer: () => {
        throw new Error('no words');
      },
    };
    await assert.rejects(toy.processor.execute(request), /no words/);
    assert.deepEqual(await additions(backend.store), []);
  });
});
