import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { UnavailableError } from '#kernel/core/errors.ts';
import { openPipelinedConnection } from '#kernel/postgres/pipeline.ts';
import { createPool } from '#kernel/postgres/pool.ts';
import { onEnd } from '../support/cleanup.ts';
import { createDatabase } from '../support/postgres.ts';

const STALLED_MS = 200;

/** A pool whose transactions may stall for `STALLED_MS`, and one that waits for their locks. */
async function openPools(t: TestContext) {
  const url = await createDatabase();
  const settings = { url, applicationName: 'test', maxConnections: 1, statementTimeoutMs: 30_000 };
  const stalling = createPool({ ...settings, stalledTransactionMs: STALLED_MS }, (error) =>
    t.diagnostic(error.message),
  );
  const waiting = createPool(settings, (error) => t.diagnostic(error.message));
  onEnd(t, stalling.close);
  onEnd(t, waiting.close);
  return { url, stalling, waiting };
}

test('a transaction whose process has nothing more to say gives back what it locked', async (t) => {
  const { stalling, waiting } = await openPools(t);
  const stalled = stalling.transaction(async (sql) => {
    await sql.query('SELECT pg_advisory_xact_lock(1)');
    await waiting.query('SELECT pg_advisory_lock(1)');
    await sql.query('SELECT 1');
  });
  await assert.rejects(stalled, UnavailableError);
  assert.deepEqual(await stalling.query('SELECT 1 AS one'), [{ one: 1 }], 'the pool goes on with another connection');
});

test('a pipelined transaction that does not come to its end gives back what it locked', async (t) => {
  const { url, waiting } = await openPools(t);
  const connection = await openPipelinedConnection(url, 'test', 30_000, STALLED_MS);
  onEnd(t, connection.close);
  const text = 'SELECT pg_advisory_xact_lock(1), pg_sleep(3600)';
  await assert.rejects(connection.transaction([{ name: 'stall', text, values: [] }]), UnavailableError);
  await waiting.query('SELECT pg_advisory_lock(1)');
  assert.equal(connection.broken, true);
});
