import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestError } from '#kernel/core/errors.ts';
import { createIdSource } from '#kernel/core/ids.ts';
import type { Processor } from '#kernel/processor/processor.ts';
import { newStream } from '../../support/appending.ts';
import { describeBackends } from '../../support/backends.ts';
import { startToyProcess } from '../../support/toy-process.ts';
import { additions } from '../../support/toy-work.ts';

const ids = createIdSource();

function add(processor: Processor, n: number, keys: readonly { scope: string; key: string; hash?: string }[]) {
  const id = newStream().id;
  return processor.execute({
    commands: [{ aggregate: 'counter', id, command: { id, n }, fresh: true }],
    keys: keys.map(({ scope, key, hash = 'h' }) => ({ scope, key, requestHash: hash, expiresAt: Date.now() + 60_000 })),
    traceId: ids.traceId(),
    answer: ([result]) => (result!.ok ? { id, total: result!.value.state.total } : { refused: result!.refusal.code }),
  });
}

function refusedWith(code: string) {
  return (error: unknown) => error instanceof RequestError && error.code === code;
}

describeBackends('a request with a key', (open) => {
  test('is carried out once; asked again it gets the stored answer, also in another process', async (t) => {
    const backend = await open(t);
    const one = await startToyProcess(t, backend);
    const two = await startToyProcess(t, backend);
    const first = await add(one.processor, 5, [{ scope: 'http', key: 'k' }]);
    assert.equal(first.replayed, false);
    for (const { processor } of [one, two]) {
      const again = await add(processor, 5, [{ scope: 'http', key: 'k' }]);
      assert.deepEqual(again, { answer: first.answer, replayed: true });
    }
    assert.equal((await additions(backend.store)).length, 1);
  });

  test('keeps a refusal as its answer too', async (t) => {
    const backend = await open(t);
    const { processor } = await startToyProcess(t, backend);
    const first = await add(processor, 0, [{ scope: 'http', key: 'k' }]);
    const again = await add(processor, 0, [{ scope: 'http', key: 'k' }]);
    assert.deepEqual(first.answer, { refused: 'nothing_to_add' });
    assert.deepEqual(again, { answer: first.answer, replayed: true });
  });

  test('for something else is refused', async (t) => {
    const backend = await open(t);
    const { processor } = await startToyProcess(t, backend);
    await add(processor, 5, [
      { scope: 'http', key: 'k' },
      { scope: 'reference', key: 'r' },
    ]);
    const other = add(processor, 6, [{ scope: 'http', key: 'k', hash: 'other' }]);
    await assert.rejects(other, refusedWith('idempotency_key_reused'));
    const reference = add(processor, 6, [{ scope: 'reference', key: 'r', hash: 'other' }]);
    await assert.rejects(reference, refusedWith('reference_reused'));
  });

  test('is refused while the first is running', async (t) => {
    const backend = await open(t);
    const { processor } = await startToyProcess(t, backend);
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => add(processor, 5, [{ scope: 'http', key: 'k' }])));
    assert.equal(outcomes.filter((outcome) => outcome.status === 'fulfilled').length, 1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') assert.ok(refusedWith('idempotency_key_in_progress')(outcome.reason));
    }
  });

  test('asked of two processes at once is carried out by one', async (t) => {
    const backend = await open(t);
    const processes = [await startToyProcess(t, backend), await startToyProcess(t, backend)];
    for (let n = 0; n < 10; n++) {
      const outcomes = await Promise.all(
        processes.map(({ processor }) => add(processor, 5, [{ scope: 'http', key: `k${n}` }])),
      );
      assert.deepEqual(outcomes[0]!.answer, outcomes[1]!.answer);
    }
    assert.equal((await additions(backend.store)).length, 10);
  });

  test('whose new stream turns out to exist is decided on what is there', async (t) => {
    const backend = await open(t);
    const { processor } = await startToyProcess(t, backend);
    const id = newStream().id;
    const again = () =>
      processor.execute({
        commands: [{ aggregate: 'counter', id, command: { id, n: 1 }, fresh: true }],
        traceId: ids.traceId(),
        answer: ([result]) => (result!.ok ? result!.value.state.total : undefined),
      });
    assert.equal((await again()).answer, 1);
    assert.equal((await again()).answer, 2);
  });
});
