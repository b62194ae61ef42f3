import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import { createLog } from '#kernel/observability/log.ts';
import { createPool } from '#kernel/postgres/pool.ts';
import { readConfig } from '#src/config.ts';
import { startPlatform } from '#src/main.ts';
import { apiAt } from '../support/api.ts';
import { onEnd } from '../support/cleanup.ts';
import { temporaryDataFolder } from '../support/data-folder.ts';
import { openKafka } from '../support/kafka.ts';
import { assertLedgerBalanced, balanceOf, move, pay, walletWith } from '../support/money.ts';
import { createDatabase } from '../support/postgres.ts';
import { runProgram } from '../support/program.ts';

const PAYMENTS = 20;
const LOG = createLog('silent');

/** A platform in this process whose data stay when it stops: it can go on with another bus. */
async function openData(t: TestContext) {
  const data = await temporaryDataFolder();
  onEnd(t, () => rm(data, { recursive: true }));
  const url = await createDatabase();
  const env = { CAUDAL_DATA: data, DATABASE_URL: url, PORT: '0', SIMULATOR_PORT: '0', BUS_LEASE_MS: '2000' };
  const pool = createPool({ url, applicationName: 'test', maxConnections: 2, statementTimeoutMs: 20_000 }, (error) =>
    t.diagnostic(error.message),
  );
  onEnd(t, () => pool.close());
  return {
    env,
    start: async (brokers?: readonly string[]) => {
      const config = readConfig({ ...env, ...(brokers !== undefined && { KAFKA_BROKERS: brokers.join() }) });
      const platform = await startPlatform(config, LOG);
      return { ...platform, api: apiAt(platform.url) };
    },
    /** How often each event type is in the log. */
    counts: async () => {
      const rows = await pool.query<{ type: string; n: number }>(
        'SELECT event_type AS type, count(*) AS n FROM events GROUP BY 1',
      );
      return new Map(rows.map(({ type, n }) => [type, n]));
    },
  };
}

test('a database goes from the PostgreSQL bus to Kafka and back, and nothing is handled again', async (t) => {
  const kafka = await openKafka(t);
  const { env, start, counts } = await openData(t);
  let user = '';
  let paid = 0;
  for (const brokers of [undefined, kafka.bootstrap, undefined]) {
    const platform = await start(brokers);
    if (user === '') user = await walletWith(platform.api, '1000.00');
    else await move(platform.api, 'credits', user, '5.00', `stage ${paid}`);
    // Many, so that every partition gets a later message than those of the bus before.
    for (let n = 0; n < PAYMENTS; n++) {
      const method = n % 2 === 0 ? { method: 'wallet', customer_id: user } : { customer_id: user };
      assert.equal((await pay(platform.api, { ...method, amount: '1.00' })).status, 'APPROVED');
      paid += 1;
    }
    assert.equal(await balanceOf(platform.api, user), 100_000 + 500 * (paid / PAYMENTS - 1) - 100 * (paid / 2));
    await assertLedgerBalanced(platform.api);
    await platform.stop();
    const types = await counts();
    for (const type of ['payments.created', 'payments.checked', 'payments.approved'])
      assert.equal(types.get(type), paid, type);
    for (const type of ['wallet.debited', 'gateway.charge.answered']) assert.equal(types.get(type), paid / 2, type);
    const verified = await runProgram(['verify', '--json'], { ...env, PATH: process.env.PATH ?? '' });
    assert.equal(verified.code, 0, verified.stdout);
  }
});

test('processes of both buses do not run on one database at the same time', async (t) => {
  const kafka = await openKafka(t);
  const { start } = await openData(t);
  const platform = await start();
  await pay(platform.api, {});
  await assert.rejects(start(kafka.bootstrap), /processes that run without Kafka use this database: stop them/);
  await platform.stop();
});
