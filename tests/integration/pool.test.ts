import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { UnavailableError } from '#kernel/core/errors.ts';
import { createPool } from '#kernel/postgres/pool.ts';
import { createDatabase } from '../support/postgres.ts';
import { until } from '../support/until.ts';

test('a connection that breaks between two statements of a transaction fails the next one, and is replaced', async (t) => {
  const url = await createDatabase();
  const pool = createPool({ url, applicationName: 'test', maxConnections: 1, statementTimeoutMs: 10_000 }, () => {});
  t.after(() => pool.close());
  const admin = new pg.Client(url);
  await admin.connect();
  t.after(() => admin.end());

  const transaction = pool.transaction(async (sql) => {
    const [{ pid }] = (await sql.query('SELECT pg_backend_pid() AS pid')) as [{ pid: number }];
    await admin.query('SELECT pg_terminate_backend($1)', [pid]);
    const isGone = async () => (await admin.query('SELECT FROM pg_stat_activity WHERE pid = $1', [pid])).rowCount === 0;
    await until('the connection is gone', isGone);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await sql.query('SELECT 1');
  });
  await assert.rejects(transaction, UnavailableError);
  assert.deepEqual(await pool.query('SELECT 1 AS one'), [{ one: 1 }]);
});
