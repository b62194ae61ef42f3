import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConflictError } from '#kernel/core/errors.ts';
import { CHAIN_START, linkOf } from '#kernel/event-store/hash-chain.ts';
import { append, newStream, openWriter, pending } from '../../support/appending.ts';
import { type Backend, describeBackends } from '../../support/backends.ts';
import { COUNTERS, TOTALS } from '../../support/toy-tables.ts';

/** Fails when a chain has a gap or a link that does not follow. */
async function checkLinks(backend: Backend): Promise<number> {
  const ends = new Map<number, { position: number; hash: string }>();
  const stored = await backend.stored();
  for (const { event, storedAt, hash } of stored) {
    const end = ends.get(event.chain) ?? { position: 0, hash: CHAIN_START };
    assert.equal(event.chainPosition, end.position + 1);
    assert.equal(hash, linkOf(end.hash, event, storedAt));
    ends.set(event.chain, { position: event.chainPosition, hash });
  }
  return stored.length;
}

describeBackends('chains', (open) => {
  test('every event is linked to the one before it in its chain', async (t) => {
    const backend = await open(t);
    const writers = [await openWriter(t, backend.store, 'a'), await openWriter(t, backend.store, 'b')];
    const stream = newStream();
    for (let n = 0; n < 6; n++) {
      const odd = pending({ amount: 0.1 + n, 'ž"': ['\u2028', null], 10: 1, 9: 2 });
      await writers[n % 2]!.commit({ appends: [append(newStream(), 0, odd, pending()), append(stream, n)] });
    }
    assert.equal(await checkLinks(backend), 18);
  });

  test('a refused commit leaves no gap', async (t) => {
    const backend = await open(t);
    const writer = await openWriter(t, backend.store);
    for (let n = 0; n < 3; n++) {
      await writer.commit({ appends: [append(newStream(), 0)] });
      await assert.rejects(writer.commit({ appends: [append(newStream(), 0), append(newStream(), 7)] }), ConflictError);
    }
    assert.equal(await checkLinks(backend), 3);
  });

  test('each writer has a chain of its own; one that is free is taken before a new one is started', async (t) => {
    const backend = await open(t);
    const [a, b] = [await backend.store.openWriter('a'), await openWriter(t, backend.store, 'b')];
    const first = await a.commit({ appends: [append(newStream(), 0)] });
    const second = await b.commit({ appends: [append(newStream(), 0)] });
    assert.notEqual(first.chain, second.chain);
    await a.close();
    const heir = await openWriter(t, backend.store, 'heir');
    const third = await heir.commit({ appends: [append(newStream(), 0)] });
    assert.equal(third.chain, first.chain);
    assert.equal(third.events[0]!.chainPosition, 2);
    assert.equal(await checkLinks(backend), 3);
  });

  test('a writer that only saves rows and progress takes no chain', async (t) => {
    const { store } = await open(t);
    const writer = await openWriter(t, store);
    const row = { id: newStream().id, total: 1 };
    await writer.commit({ appends: [], rows: [{ table: COUNTERS, rows: [row] }], sums: [{ table: TOTALS, rows: [] }] });
    assert.deepEqual(await store.head(), {});
  });
});
