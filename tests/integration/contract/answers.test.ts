import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConflictError } from '#kernel/core/errors.ts';
import type { StoredAnswer } from '#kernel/event-store/store.ts';
import { append, newStream, openWriter, wholeLog } from '../../support/appending.ts';
import { describeBackends } from '../../support/backends.ts';

const DAY_MS = 86_400_000;

function answer(key: string, fields: Partial<StoredAnswer> = {}): StoredAnswer {
  return {
    scope: 'http',
    key,
    requestHash: 'a'.repeat(64),
    answer: { ok: 1 },
    expiresAt: Date.now() + DAY_MS,
    ...fields,
  };
}

describeBackends('stored answers', (open) => {
  test('an answer is found by its scope and key', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const kept = answer('kéy "1"', { answer: { list: [1.5, 'ü', null], deep: { b: true } } });
    await writer.commit({ appends: [], answers: [kept, answer('other')] });
    assert.deepEqual(await store.findAnswers([{ scope: 'http', key: 'kéy "1"' }]), [kept]);
    assert.deepEqual(await store.findAnswers([{ scope: 'wallets', key: 'other' }]), []);
    assert.deepEqual(await store.findAnswers([]), []);
  });

  test('a key that is taken is a conflict, and nothing of the commit stays', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    await writer.commit({ appends: [], answers: [answer('taken')] });
    const appends = [append(newStream(), 0)];
    await assert.rejects(writer.commit({ appends, answers: [answer('new'), answer('taken')] }), ConflictError);
    assert.deepEqual(await wholeLog(store), []);
    assert.deepEqual(await store.findAnswers([{ scope: 'http', key: 'new' }]), []);
    await writer.commit({ appends, answers: [answer('taken', { scope: 'another' })] });
  });

  test('an expired key is not found, and may be used anew', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    await writer.commit({ appends: [], answers: [answer('old', { expiresAt: Date.now() - DAY_MS })] });
    assert.deepEqual(await store.findAnswers([{ scope: 'http', key: 'old' }]), []);
    await writer.commit({ appends: [], answers: [answer('old', { answer: 'second' })] });
    const [found] = await store.findAnswers([{ scope: 'http', key: 'old' }]);
    assert.equal(found!.answer, 'second');
  });

  test('of two writers with one key exactly one wins', async (t) => {
    const { store } = await open(t);
    const writers = [await openWriter(t, store, 'a'), await openWriter(t, store, 'b')];
    const outcomes = await Promise.allSettled(
      writers.map((writer) => writer.commit({ appends: [append(newStream(), 0)], answers: [answer('once')] })),
    );
    assert.equal(outcomes.filter((outcome) => outcome.status === 'fulfilled').length, 1);
    assert.equal((await wholeLog(store)).length, 1);
  });
});
