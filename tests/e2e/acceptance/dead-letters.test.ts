import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { createIdSource } from '#kernel/core/ids.ts';
import { createPostgresStore } from '#kernel/event-store/postgres/store.ts';
import { createPool } from '#kernel/postgres/pool.ts';
import type { Answer } from '../../support/api.ts';
import { append, pending } from '../../support/appending.ts';
import { assertLedgerBalanced, balanceOf, finalPayment, walletWith } from '../../support/money.ts';
import { shapeOfTests, startPlatform } from '../../support/platform.ts';
import { until } from '../../support/until.ts';

const platform = await startPlatform();
const { api } = platform;
const OPERATOR = { 'x-operator': 'olga' };

/** Puts a request for a debit on the bus whose payload lacks its amount. @returns the id of the payment that it names */
async function putMalformedEvent(): Promise<string> {
  const url = await platform.databaseUrl();
  const pool = createPool({ url, applicationName: 'test', maxConnections: 2, statementTimeoutMs: 10_000 }, assert.fail);
  const store = createPostgresStore({ url, instance: 'test', resolveTimeoutMs: 5000 }, pool, { now: Date.now });
  const writer = await store.openWriter('stranger');
  const payment_id = createIdSource().uuid();
  const event = pending({ payment_id, user_id: 'user', currency: 'USD' }, 'wallet.debit.requested');
  await writer.commit({ appends: [append({ type: 'payment', id: payment_id }, 0, event)] });
  await writer.close();
  await pool.close();
  // Servers that are alone do not look for what others write.
  await platform.query('NOTIFY caudal_log');
  return payment_id;
}

/** Waits for the dead letter of the message with this key. */
async function openLetter(key: string) {
  let letter: Answer['body'];
  await until(`the message of ${key} is a dead letter`, async () => {
    const { body } = await api.get('/api/v1/dlq?status=open');
    letter = body.data.find((each: { key: string }) => each.key === key);
    return letter !== undefined;
  });
  return letter;
}

test('a malformed event goes to the dead letters at once, and the others go on', async () => {
  const key = await putMalformedEvent();
  const letter = await openLetter(key);
  assert.equal(letter.original_topic, 'wallet.debit.requested');
  assert.equal(letter.dlq_topic, 'wallet.dlq');
  assert.deepEqual([letter.service, letter.attempts, letter.count], ['wallets', 1, 1]);
  assert.match(letter.error, /does not fit its schema: \/amount/);
  const whole = (await api.get(`/api/v1/dlq/${letter.id}`)).body;
  assert.deepEqual([whole.event.aggregateId, whole.event.data.currency], [key, 'USD']);

  const list = await platform.caudal('dlq', 'list');
  assert.equal(list.code, 0, list.output);
  assert.match(list.output, new RegExp(`${letter.id}.*wallet\\.debit\\.requested`));
  const customer_id = await walletWith(api, '5.00');
  const payment = await api.post('/payments', { amount: 5, currency: 'USD', method: 'wallet', customer_id });
  assert.equal((await finalPayment(api, payment.body.id)).status, 'APPROVED');

  assert.equal((await api.post(`/api/v1/dlq/${letter.id}/replay`, {}, OPERATOR)).status, 200);
  await until('it is refused again', async () => (await openLetter(key)).count === 2);
  const discarded = await platform.caudal('dlq', 'discard', letter.id);
  assert.equal(discarded.code, 0, discarded.output);
  assert.equal((await api.get(`/api/v1/dlq/${letter.id}`)).body.status, 'discarded');
  const again = await api.post(`/api/v1/dlq/${letter.id}/discard`, {});
  assert.deepEqual([again.status, again.body.code], [409, 'dead_letter_settled']);
});

test('a dead letter is replayed from where it stands on Kafka; without Kafka that is said', async () => {
  const letter = await openLetter(await putMalformedEvent());
  const replay = (place: readonly string[]) => platform.caudal('dlq', 'replay', '--topic', 'wallet.dlq', ...place);
  if (shapeOfTests() !== 'kafka') {
    const { code, output } = await replay(['--all']);
    assert.equal(code, 1, output);
    assert.match(output, /kafka_not_used: .*KAFKA_BROKERS is not set/);
  } else {
    const shown = async () => (await api.get(`/api/v1/dlq/${letter.id}`)).body;
    await until('it stands on Kafka', async () => (await shown()).kafka !== null);
    const { partition, offset } = (await shown()).kafka;
    const place = `wallet.dlq/${partition}/${offset}`;
    assert.match((await platform.caudal('dlq', 'list')).output, new RegExp(`${letter.id}.*${place}`));
    assert.match((await platform.caudal('dlq', 'show', letter.id)).output, new RegExp(`^kafka +${place}$`, 'm'));
    const replayed = await replay(['--partition', String(partition), '--offset', String(offset)]);
    assert.equal(replayed.code, 0, replayed.output);
    assert.match(replayed.output, new RegExp(`${offset} +${letter.id} +replayed`));
    await until('it is refused again', async () => (await shown()).count === 2);
  }
  assert.equal((await platform.caudal('dlq', 'discard', letter.id)).code, 0);
  if (shapeOfTests() === 'kafka') {
    const all = await replay(['--all']);
    assert.equal(all.code, 0, all.output);
    assert.match(all.output, new RegExp(`${letter.id} +settled +the dead letter is discarded, not open`));
  }
});

test('messages of one kind are one group, and are replayed or discarded together', async () => {
  const keys = await Promise.all([putMalformedEvent(), putMalformedEvent()]);
  const letters = await Promise.all(keys.map(openLetter));
  const { fingerprint } = letters[0];
  assert.equal(letters[1].fingerprint, fingerprint);
  const groups = (await api.get('/api/v1/dlq?status=open&group=fingerprint')).body.data;
  assert.deepEqual([groups.length, groups[0].messages, groups[0].fingerprint], [1, 2, fingerprint]);
  const replayed = await api.post('/api/v1/dlq/replay', { fingerprint }, { 'idempotency-key': randomUUID() });
  assert.deepEqual([replayed.status, replayed.body.replayed], [200, 2]);
  for (const { id, key } of letters) {
    await until('it is refused again', async () => (await openLetter(key)).count === 2);
    assert.equal((await api.post(`/api/v1/dlq/${id}/discard`, {})).status, 200);
  }
  assert.deepEqual((await api.get('/api/v1/dlq?status=open')).body.data, []);
});

test('what fails in the database is tried again, then waits for an operator; replayed after the repair, the payment completes', async () => {
  const customer_id = await walletWith(api, '10.00');
  const other = await walletWith(api, '10.00');
  const query = platform.queryOf('wallets');
  await query(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'the wallet is being repaired'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON wallets.wallet_balances FOR EACH ROW
      WHEN (NEW.user_id = '${customer_id}') EXECUTE FUNCTION refuse()`);
  const [{ body: stuck }, { body: free }] = (await Promise.all(
    [customer_id, other].map((user) =>
      api.post('/payments', { amount: 4, currency: 'USD', method: 'wallet', customer_id: user }),
    ),
  )) as [Answer, Answer];
  assert.equal((await finalPayment(api, free.id)).status, 'APPROVED');

  const letter = await openLetter(stuck.id);
  assert.equal(letter.attempts, 4);
  assert.match(letter.error, /the wallet is being repaired/);
  assert.equal((await api.get(`/payments/${stuck.id}`)).body.status, 'PENDING');
  assert.equal(await balanceOf(api, customer_id), 1000);

  await query('DROP TRIGGER refuse ON wallets.wallet_balances');
  const replayed = await platform.caudal('dlq', 'replay', '--all');
  assert.equal(replayed.code, 0, replayed.output);
  assert.equal((await finalPayment(api, stuck.id)).status, 'APPROVED');
  assert.equal(await balanceOf(api, customer_id), 600);
  await until('nothing waits any more', async () => {
    const { body } = await api.get('/api/v1/dlq');
    return body.data.every(({ status }: { status: string }) => status === 'replayed' || status === 'discarded');
  });
  const { body: timeline } = await api.get(`/payments/${stuck.id}/timeline`);
  assert.ok(timeline.data.some(({ kind, summary }: Answer['body']) => kind === 'operator' && /replayed/.test(summary)));
  await assertLedgerBalanced(api);
});
