import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Processor } from '#kernel/processor/processor.ts';
import { append, newStream, openWriter, pending } from '../../support/appending.ts';
import { type Backend, describeBackends, openPostgres } from '../../support/backends.ts';
import { startToyProcess } from '../../support/toy-process.ts';
import { added } from '../../support/toy-service.ts';
import { additionsMade, openToyClient } from '../../support/toy-work.ts';

const COUNTER = newStream('counter');

/** Adds to the counter by a request, unless it is below `least`. @returns how many events that made */
async function add(processor: Processor, n: number, least?: number): Promise<number> {
  const { id } = COUNTER;
  const { answer } = await processor.execute({
    commands: [{ aggregate: 'counter', id, command: { id, n, ...(least !== undefined && { least }) } }],
    traceId: 'a'.repeat(32),
    answer: ([result]) => (result?.ok ? result.value.events.length : -1),
  });
  return answer;
}

/** Another process adds 9 to the counter, at this position. */
async function addElsewhere(t: TestContext, { store }: Backend, position: number): Promise<void> {
  const writer = await openWriter(t, store, 'elsewhere');
  const event = pending({ counter_id: COUNTER.id, n: 9, total: 10 }, added.type);
  await writer.commit({ appends: [append(COUNTER, position, event)] });
}

// That it is alone is what a process believes: another may have come, or gone, a moment ago.
for (const alone of [false, true]) {
  describeBackends(`a process that ${alone ? 'believes to be alone' : 'knows of others'}`, (open) => {
    test('decides a request that leads to nothing on what others wrote', async (t) => {
      const backend = await open(t);
      const { processor } = await startToyProcess(t, backend, { alone });
      await add(processor, 1);
      await addElsewhere(t, backend, 1);
      assert.equal(await add(processor, 5, 10), 1);
      assert.equal(await add(processor, 5, 16), 0);
    });

    test('decides a message that leads to nothing on what others wrote', async (t) => {
      const backend = await open(t);
      const toy = await startToyProcess(t, backend, { alone });
      await add(toy.processor, 1);
      await addElsewhere(t, backend, 1);
      const client = await openToyClient(t, backend, [toy]);
      await client.ask({ counter_id: COUNTER.id, n: 100, least: 10 });
      await additionsMade(backend.store, 3);
    });
  });
}

test('processes that write to the same stream at the same time refuse each other once, and then take turns', async (t) => {
  const backend = await openPostgres(t);
  const [one, other] = [await startToyProcess(t, backend), await startToyProcess(t, backend)];
  const rounds = 80;
  for (let i = 0; i < rounds; i++) await Promise.all([add(one.processor, 1), add(other.processor, 1)]);
  assert.equal((await one.processor.load('counter', COUNTER.id)).position, 2 * rounds);
  const conflicts = one.conflicts() + other.conflicts();
  t.diagnostic(`${conflicts} conflicts in ${rounds} rounds`);
  assert.ok(conflicts < rounds / 2, `${conflicts} conflicts`);
});
