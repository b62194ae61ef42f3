import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { test } from 'node:test';
import { topicsOf } from '#kernel/bus/topology.ts';
import { createLog } from '#kernel/observability/log.ts';
import { readConfig } from '#src/config.ts';
import { startPlatform } from '#src/main.ts';
import { byType } from '#src/topologies/by-type.ts';
import { definedServices } from '../../src/cli/services.ts';
import { apiAt } from '../support/api.ts';
import { onEnd } from '../support/cleanup.ts';
import { temporaryDataFolder } from '../support/data-folder.ts';
import { openKafka } from '../support/kafka.ts';
import { messagesOn, type StrangeMessage, writeStrange } from '../support/kafka-topic.ts';
import { assertLedgerBalanced, finalPayment, walletWith } from '../support/money.ts';
import { startPaying } from '../support/paying.ts';
import { createDatabase } from '../support/postgres.ts';
import { runProgram } from '../support/program.ts';
import { until } from '../support/until.ts';

const LOG = createLog('silent');
const CLIENTS = 4;
/** Topics of every payment, by wallet or by card. */
const TOPICS = [
  'payments.created',
  'payments.checked',
  'wallet.debit.requested',
  'wallet.response',
  'gateway.charge.requested',
  'gateway.charge.answered',
];

test('messages of strangers go to the dead letters of who reads the topic, and what is behind them is handled', async (t) => {
  const { bootstrap: brokers } = await openKafka(t);
  const data = await temporaryDataFolder();
  onEnd(t, () => rm(data, { recursive: true }));
  const env = {
    CAUDAL_DATA: data,
    DATABASE_URL: await createDatabase(),
    PORT: '0',
    SIMULATOR_PORT: '0',
    KAFKA_BROKERS: brokers.join(),
    KAFKA_REPLICATION: '1',
  };
  const config = readConfig(env);
  const platform = await startPlatform(config, LOG);
  let running = true;
  onEnd(t, async () => {
    if (running) await platform.stop();
  });
  const api = apiAt(platform.url);
  const user = await walletWith(api, '1000.00');
  const paying = startPaying(api, user, CLIENTS);
  await paying.more(20);
  await until('a payment is on its topic', async () => (await messagesOn(brokers, 'payments.created')).length > 0);
  const [ours] = await messagesOn(brokers, 'payments.created');
  const { ce_time: _, ...incomplete } = ours!.headers;
  const strangers: readonly Omit<StrangeMessage, 'topic' | 'partition'>[] = [
    { value: Buffer.from('{"amount": 1}') },
    { key: 'no JSON', value: Buffer.from('what is this?'), headers: { 'x-from': 'elsewhere' } },
    { key: 'large', value: Buffer.alloc(2_097_152, 120) },
    // It takes the id of an event of ours, and most else.
    { key: ours!.key!, value: ours!.value, headers: incomplete },
    { key: 'none', value: null, headers: ours!.headers },
  ];

  const written: string[] = [];
  const services = [...(await definedServices(config, LOG))];
  for (const topic of TOPICS) {
    const readers = services.filter(([, { reactions }]) =>
      topicsOf(byType, Object.keys(reactions)).some(({ name }) => name === topic),
    );
    assert.ok(readers.length > 0, `somebody reads ${topic}`);
    for (const [partition, stranger] of strangers.entries()) {
      const offset = await writeStrange(brokers, { topic, partition, ...stranger });
      for (const [reader] of readers) written.push(`${reader}: ${topic}/${partition}/${offset}`);
    }
    await paying.more(10);
  }
  await paying.stop();
  for (const id of paying.ids) assert.equal((await finalPayment(api, id)).status, 'APPROVED');
  await assertLedgerBalanced(api);

  const found = async (): Promise<readonly string[]> => {
    const { body } = await api.get('/api/v1/dlq?status=open&limit=100');
    return Promise.all(
      body.data.map(async ({ id, service }: { id: string; service: string }) => {
        const letter = await api.get(`/api/v1/dlq/${id}`);
        const { topic, partition, offset } = letter.body.event.data;
        return `${service}: ${topic}/${partition}/${offset}`;
      }),
    );
  };
  await until('all are dead letters', async () => (await found()).length >= written.length);
  assert.deepEqual((await found()).toSorted(), written.toSorted());
  await platform.stop();
  running = false;
  const verified = await runProgram(['verify', '--json'], env);
  assert.equal(verified.code, 0, verified.stdout);
  t.diagnostic(`${paying.ids.length} payments, ${written.length} dead letters`);
});
