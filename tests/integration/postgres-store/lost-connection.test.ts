import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UnavailableError } from '#kernel/core/errors.ts';
import type { Pool } from '#kernel/postgres/pool.ts';
import { append, newStream, openWriter, wholeLog } from '../../support/appending.ts';
import { openPostgres } from '../../support/backends.ts';
import { startTcpProxy } from '../../support/tcp-proxy.ts';
import { until } from '../../support/until.ts';

async function countEvents(pool: Pool): Promise<number> {
  const rows = await pool.query<{ count: number }>('SELECT count(*) AS count FROM events');
  return rows[0]!.count;
}

test('a commit whose answer was lost is found in the log: it succeeds, once', async (t) => {
  const { url, pool, storeAt, store } = await openPostgres(t);
  const proxy = await startTcpProxy(t, url);
  const writer = await openWriter(t, storeAt(proxy.url, 'far'));
  const stream = newStream();
  await writer.commit({ appends: [append(stream, 0)] });

  proxy.swallow('answers');
  const committing = writer.commit({ appends: [append(stream, 1), append(newStream(), 0)] });
  await until('the commit is in the log', async () => (await countEvents(pool)) === 3);
  proxy.mend();
  proxy.cut();
  const committed = await committing;
  assert.deepEqual(
    committed.events.map((event) => event.streamPosition),
    [2, 1],
  );
  await writer.commit({ appends: [append(stream, 2)] });
  assert.equal((await wholeLog(store)).length, 4);
});

test('a commit that never reached the server fails as unavailable, and leaves nothing', async (t) => {
  const { url, storeAt, store } = await openPostgres(t);
  const proxy = await startTcpProxy(t, url);
  const writer = await openWriter(t, storeAt(proxy.url, 'far'));
  const stream = newStream();
  await writer.commit({ appends: [append(stream, 0)] });

  proxy.swallow('requests');
  const committing = writer.commit({ appends: [append(stream, 1)] });
  setTimeout(() => {
    proxy.mend();
    proxy.cut();
  }, 50);
  await assert.rejects(committing, UnavailableError);
  await writer.recover();
  assert.equal((await wholeLog(store)).length, 1);
  await writer.commit({ appends: [append(stream, 1)] });
  assert.equal((await wholeLog(store)).length, 2);
});

test('a commit that is not answered is given up after a time, and its outcome looked up', async (t) => {
  const { url, storeAt, store } = await openPostgres(t);
  const proxy = await startTcpProxy(t, url);
  const writer = await openWriter(t, storeAt(proxy.url, 'far', 300));
  const stream = newStream();
  await writer.commit({ appends: [append(stream, 0)] });
  proxy.swallow('answers');
  const committed = await writer.commit({ appends: [append(stream, 1)] });
  assert.equal(committed.events[0]!.streamPosition, 2);
  proxy.mend();
  await writer.commit({ appends: [append(stream, 2)] });
  assert.equal((await wholeLog(store)).length, 3);
});

test('what a lost session still has under way is ended before its outcome is told', async (t) => {
  const { url, pool, storeAt, store } = await openPostgres(t);
  const proxy = await startTcpProxy(t, url);
  const writer = await openWriter(t, storeAt(proxy.url, 'far'));
  const stream = newStream();
  await writer.commit({ appends: [append(stream, 0)] });

  await pool.transaction(async (sql) => {
    await sql.query('LOCK TABLE events IN SHARE MODE');
    const committing = writer.commit({ appends: [append(stream, 1)] });
    await until('the commit waits for the lock', async () => {
      const waiting = await pool.query('SELECT 1 FROM pg_locks WHERE NOT granted');
      return waiting.length > 0;
    });
    proxy.cut();
    await assert.rejects(committing, UnavailableError);
  });
  await writer.recover();
  assert.equal((await wholeLog(store)).length, 1);
});

test('a session that the server ended is replaced', async (t) => {
  const { pool, store } = await openPostgres(t);
  const writer = await openWriter(t, store);
  const stream = newStream();
  for (let position = 0; position < 3; position++) {
    await writer.commit({ appends: [append(stream, position)] });
    await pool.query('SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = $1', [
      'caudal writer one',
    ]);
    await until('the writer has noticed', async () => {
      const closed = await writer.recover().then(
        () => true,
        () => false,
      );
      return closed;
    });
  }
  assert.equal((await store.readStream(stream, { limit: 10 })).length, 3);
});

test('a chain that was moved behind its writer is taken up where it ends', async (t) => {
  const { pool, store } = await openPostgres(t);
  const writer = await openWriter(t, store);
  const stream = newStream();
  await writer.commit({ appends: [append(stream, 0)] });
  await pool.query('UPDATE event_chains SET position = position + 1');
  await writer.commit({ appends: [append(stream, 1)] });
  assert.equal((await store.readStream(stream, { limit: 10 })).length, 2);
});
