import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import { ensureTopics } from '#kernel/bus/kafka/topics.ts';
import { systemClock } from '#kernel/core/clock.ts';
import { createLog } from '#kernel/observability/log.ts';
import { createPool } from '#kernel/postgres/pool.ts';
import { createMigration, type Migration } from '#src/composition/migration.ts';
import { readConfig } from '#src/config.ts';
import { startPlatform } from '#src/main.ts';
import { byFlow } from '#src/topologies/by-flow.ts';
import { byType } from '#src/topologies/by-type.ts';
import { definedServices } from '../../src/cli/services.ts';
import { apiAt } from '../support/api.ts';
import { onEnd } from '../support/cleanup.ts';
import { temporaryDataFolder } from '../support/data-folder.ts';
import { openKafka } from '../support/kafka.ts';
import { assertLedgerBalanced, finalPayment, walletWith } from '../support/money.ts';
import { startPaying } from '../support/paying.ts';
import { createDatabase } from '../support/postgres.ts';
import { runProgram } from '../support/program.ts';

const LOG = createLog('silent');
const CLIENTS = 8;

async function openMigrating(t: TestContext, brokers: readonly string[] | undefined) {
  const data = await temporaryDataFolder();
  onEnd(t, () => rm(data, { recursive: true }));
  const url = await createDatabase();
  const env = {
    CAUDAL_DATA: data,
    DATABASE_URL: url,
    PORT: '0',
    SIMULATOR_PORT: '0',
    ...(brokers !== undefined && { KAFKA_BROKERS: brokers.join() }),
  };
  const config = readConfig({ ...env, CAUDAL_TOPOLOGY: 'single' });
  const platform = await startPlatform(config, LOG);
  const pool = createPool({ url, applicationName: 'test', maxConnections: 2, statementTimeoutMs: 20_000 }, (error) =>
    t.diagnostic(error.message),
  );
  onEnd(t, () => pool.close());
  const services = await definedServices(config, LOG);
  const connection = brokers === undefined ? undefined : { brokers, clientId: 'test' };
  const migration = (onStep: (message: string) => void): Migration =>
    createMigration({
      pool,
      clock: systemClock,
      leaseMs: config.leaseMs,
      kafka: connection,
      types: (consumer) => Object.keys(services.get(consumer as never)!.reactions),
      makeTopics: async ({ topics }) => {
        if (connection !== undefined)
          await ensureTopics(connection, topics, { replication: 1, retentionMs: 3_600_000 }, LOG);
      },
      onStep,
    });
  return { env, pool, platform, api: apiAt(platform.url), migration };
}

const BUSES: readonly (readonly [string, (t: TestContext) => Promise<readonly string[] | undefined>])[] = [
  ['the PostgreSQL bus', async () => undefined],
  ['Kafka', async (t) => (await openKafka(t)).bootstrap],
];

for (const [name, open] of BUSES) {
  test(`single to by-flow, half-way back, there again, and on to by-type while payments are made: ${name}`, async (t) => {
    const { env, pool, platform, api, migration } = await openMigrating(t, await open(t));
    const user = await walletWith(api, '1000.00');
    const paying = startPaying(api, user, CLIENTS);
    await paying.more(50);

    let moved = 0;
    const interrupted = migration((message) => {
      if (message.endsWith('is on by-flow') && ++moved === 2) throw new Error('the operator thinks again');
    });
    await assert.rejects(interrupted.forward(byFlow), /the operator thinks again/);
    await paying.more(50);
    const steps: string[] = [];
    const whole = migration((message) => void steps.push(message));
    await assert.rejects(whole.forward(byType), /the store is on its way to by-flow/);
    await assert.rejects(whole.retire(), /still on single: gateway, payments|still on single: /);
    await whole.back();
    assert.equal((await whole.status()).target, undefined);
    await paying.more(50);

    for (const topology of [byFlow, byType]) {
      await whole.forward(topology);
      await paying.more(50);
      await whole.retire();
      const { current, target, consumers } = await whole.status();
      assert.deepEqual([current, target], [topology.name, undefined]);
      assert.deepEqual(new Set(consumers.map((seat) => seat.topology)), new Set([topology.name]));
      await paying.more(50);
    }
    await assert.rejects(whole.forward(byType), /the store is on by-type already/);
    await paying.stop();

    for (const id of paying.ids) assert.equal((await finalPayment(api, id)).status, 'APPROVED');
    await assertLedgerBalanced(api);
    await platform.stop();
    const rows = await pool.query<{ type: string; n: number }>(
      'SELECT event_type AS type, count(*) AS n FROM events GROUP BY 1',
    );
    const counts = new Map(rows.map(({ type, n }) => [type, n]));
    for (const type of ['payments.created', 'payments.checked', 'payments.approved'])
      assert.equal(counts.get(type), paying.ids.length, type);
    const verified = await runProgram(['verify', '--json'], { ...env, PATH: process.env.PATH ?? '' });
    assert.equal(verified.code, 0, verified.stdout);
    t.diagnostic(`${name}: ${paying.ids.length} payments; ${steps.length} steps`);
  });
}
