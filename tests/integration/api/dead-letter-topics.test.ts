import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { placeOf } from '#kernel/bus/topology.ts';
import { type InjectedApi, startInjectedApi } from '../../support/injected-api.ts';
import { sharedKafka } from '../../support/kafka.ts';
import {
  deleteTopics,
  messagesOn,
  type SeenMessage,
  type StrangeMessage,
  writeStrange,
} from '../../support/kafka-topic.ts';
import { balanceOf, finalPayment, walletWith } from '../../support/money.ts';
import { until } from '../../support/until.ts';

const ALICE = { 'x-operator': 'alice' };
const BOB = { 'x-operator': 'bob' };
const PAYMENTS = 'payments.dlq';
const WALLET = 'wallet.dlq';

describe('dead letters on Kafka', () => {
  let api: InjectedApi;
  let brokers: readonly string[];
  before(async () => {
    brokers = (await sharedKafka()).bootstrap;
    api = await startInjectedApi({
      kafkaBrokers: brokers.join(','),
      kafkaReplication: 1,
      kafkaSessionTimeoutMs: 6000,
      kafkaHeartbeatMs: 500,
      kafkaFetchWaitMs: 50,
      deadLetterPollMs: 20,
      debitDeadlineMs: 600_000,
    });
  });
  after(() => api.close());

  /** Puts a fraud check on the bus that does not fit its schema. @returns the event's id */
  async function poison(paymentId: string, status: string): Promise<string> {
    const { store, tail } = api;
    const { ids, clock } = api.context;
    const data = {
      id: paymentId,
      status,
      reason: 'x',
      trace_id: ids.traceId(),
      score: 0,
      rules: [],
      checked_at: '2026-11-22T00:00:00.000Z',
    };
    const metadata = { correlationid: paymentId, traceparent: `00-${ids.traceId()}-00f067aa0ba902b7-01` };
    const event = { id: ids.uuid(), type: 'payments.checked', version: 1, time: clock.now(), data, metadata };
    const writer = await store.openWriter('test');
    const stream = { type: 'test', id: ids.uuid() };
    await writer.commit({ appends: [{ stream, expectedPosition: 0, events: [event] }] });
    await writer.close();
    tail.wake();
    return event.id;
  }

  const letters = async (query: string) => (await api.get(`/api/v1/dlq?limit=100&${query}`)).body.data;
  const letterOf = async (id: string) => (await api.get(`/api/v1/dlq/${id}`)).body;

  /** Waits until the event's dead letter stands on Kafka. */
  async function landed(eventId: string, count = 1) {
    let found: any;
    await until('the dead letter is on Kafka', async () => {
      found = (await letters('status=open')).find(
        (letter: any) => letter.event_id === eventId && letter.count === count,
      );
      return found?.kafka != null;
    });
    return found;
  }

  async function messageOf({
    kafka,
  }: {
    kafka: { topic: string; partition: number; offset: number };
  }): Promise<SeenMessage> {
    const seen = await messagesOn(brokers, kafka.topic);
    return seen.find(({ partition, offset }) => partition === kafka.partition && offset === kafka.offset)!;
  }

  const replay = (topic: string, body: object, headers = ALICE) =>
    api.post(`/api/v1/dlq/topics/${topic}/replay`, body, headers);
  const at = ({ kafka }: any) => ({ partition: kafka.partition, from: kafka.offset, to: kafka.offset });
  const outcomes = ({ body }: { body: any }) => body.results.map(({ outcome }: { outcome: string }) => outcome);

  const mend = (id: string) =>
    api.sql.query(`UPDATE error_log SET event = jsonb_set(event, '{data,status}', '"APPROVED"') WHERE id = $1`, [id]);
  const forget = (id: string) => api.sql.query('DELETE FROM error_log WHERE id = $1', [id]);

  test('hold what the message held, with its headers, under its key', async () => {
    const payment = api.context.ids.uuid();
    const letter = await landed(await poison(payment, 'MAYBE'));
    const message = await messageOf(letter);
    assert.equal(letter.kafka.topic, PAYMENTS);
    assert.equal(message.key, payment);
    const { value, timestamp, error, ...body } = JSON.parse(String(message.value));
    assert.deepEqual(body, { original_topic: 'payments.checked', key: payment, attempts: 1 });
    assert.deepEqual([value.id, value.status], [payment, 'MAYBE']);
    assert.match(error, /does not fit its schema/);
    const { event } = await letterOf(letter.id);
    assert.equal(Date.parse(timestamp), event.time);
    assert.equal(message.timestamp, Date.parse(letter.last_seen));
    const [{ id: store }] = (await api.sql.query<{ id: string }>('SELECT id FROM store_identity')) as any;
    assert.deepEqual(message.headers, {
      'content-type': 'application/json',
      ce_specversion: '1.0',
      ce_id: letter.event_id,
      ce_source: '/caudal/fraud',
      ce_type: 'payments.checked',
      ce_time: timestamp,
      ce_subject: event.aggregateId,
      ce_traceparent: event.metadata.traceparent,
      ce_correlationid: payment,
      ce_schemaversion: '1',
      ce_aggregatetype: 'test',
      ce_streamposition: '1',
      ce_store: store,
      ce_chain: String(event.chain),
      ce_chainposition: String(event.chainPosition),
      caudal_dlq_id: letter.id,
      caudal_dlq_count: '1',
      caudal_dlq_store: store,
      caudal_dlq_service: 'payments',
      caudal_dlq_arrival: message.headers.caudal_dlq_arrival,
      caudal_dlq_partition: String(placeOf(api.kernel.topologies[0], event)!.partition),
      caudal_dlq_fingerprint: letter.fingerprint,
      caudal_dlq_first_seen: letter.first_seen,
    });
  });

  test('hold the messages of strangers as they were, as far as they are kept, and take them back', async () => {
    const strangers: readonly Omit<StrangeMessage, 'topic' | 'partition'>[] = [
      { key: 'their key', value: Buffer.from('hello, is it JSON?'), headers: { 'x-from': 'elsewhere', ce_id: 'none' } },
      { value: Buffer.from('{"a": 1}') },
      { key: 'bytes', value: Buffer.alloc(600_000, 255), headers: { large: 'yes' } },
    ];
    const kept = ['hello, is it JSON?', '{"a": 1}', Buffer.alloc(16_384, 255).toString('base64')];
    for (const [i, stranger] of strangers.entries()) {
      const offset = await writeStrange(brokers, { topic: 'payments.checked', partition: i, ...stranger });
      let found: any;
      await until('it is a dead letter on Kafka', async () => {
        for (const letter of await letters('status=open')) {
          if (letter.kafka === null || letter.event_type !== 'caudal.unreadable') continue;
          const { event } = await letterOf(letter.id);
          if (event.data.partition === i && event.data.offset === offset) found = letter;
        }
        return found !== undefined;
      });
      const message = await messageOf(found);
      const { original_topic, key, value } = JSON.parse(String(message.value));
      assert.deepEqual([original_topic, key, value], ['payments.checked', stranger.key ?? null, kept[i]]);
      const theirs = Object.entries(message.headers).filter(([name]) => !name.startsWith('caudal_dlq_'));
      assert.deepEqual(Object.fromEntries(theirs), stranger.headers ?? {});
      assert.deepEqual(
        [message.headers.caudal_dlq_bytes, message.headers.caudal_dlq_encoding],
        [String(stranger.value!.length), i === 2 ? 'base64' : 'text'],
      );
      assert.equal((await api.post(`/api/v1/dlq/${found.id}/replay`, {}, ALICE)).status, 200);
      const again = await landed(found.event_id, 2);
      const before = await letterOf(found.id);
      await forget(found.id);
      assert.deepEqual(outcomes(await replay(PAYMENTS, { ranges: [at(again)] })), ['recreated']);
      const anew = await landed(found.event_id, 3);
      assert.deepEqual((await letterOf(anew.id)).event, before.event, 'the row is the same as before');
      await api.post(`/api/v1/dlq/${anew.id}/discard`, {}, ALICE);
    }
  });

  test('are replayed from their rows', async () => {
    const letter = await landed(await poison(api.context.ids.uuid(), 'PERHAPS'));
    await mend(letter.id);
    assert.equal((await api.post(`/api/v1/dlq/${letter.id}/replay`, {}, ALICE)).status, 200);
    await until('it is handled', async () => (await letterOf(letter.id)).status === 'replayed');
  });

  test('are replayed from their topic as their rows are, once', async () => {
    const letter = await landed(await poison(api.context.ids.uuid(), 'POSSIBLY'));
    await mend(letter.id);
    assert.deepEqual((await replay(PAYMENTS, { ranges: [at(letter)] })).body, {
      results: [
        {
          partition: letter.kafka.partition,
          offset: letter.kafka.offset,
          id: letter.id,
          outcome: 'replayed',
          detail: null,
        },
      ],
      remaining: [],
    });
    await until('it is handled', async () => (await letterOf(letter.id)).status === 'replayed');
    const [again] = (await replay(PAYMENTS, { ranges: [at(letter)] }, BOB)).body.results;
    assert.equal(again.outcome, 'settled');
    assert.match(again.detail, /is replayed, not open.*alice/);
    assert.equal((await letterOf(letter.id)).resolved_by, 'alice');
  });

  test('whose rows are gone are made anew, replayed, and have their effect once', async () => {
    const user = await walletWith(api, '10.00');
    const { sql } = api;
    await sql.query(
      `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the wallet is being repaired' USING ERRCODE = '22000'; END $$`,
    );
    await sql.query(
      `CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON wallets.wallet_balances FOR EACH ROW
        WHEN (NEW.user_id = '${user}') EXECUTE FUNCTION refuse()`,
    );
    const fields = { amount: 4, currency: 'USD', method: 'wallet', customer_id: user };
    const { id } = (await api.post('/payments', fields)).body;
    let letter: any;
    await until('the debit is a dead letter on Kafka', async () => {
      letter = (await letters('status=open')).find(({ key }: { key: string }) => key === id);
      return letter?.kafka != null;
    });
    assert.equal(letter.kafka.topic, WALLET);
    const { event: _event, ...row } = await letterOf(letter.id);
    await forget(letter.id);
    await sql.query('DROP TRIGGER refuse ON wallets.wallet_balances');
    assert.deepEqual(outcomes(await replay(WALLET, { ranges: [at(letter)] })), ['recreated']);
    assert.equal((await finalPayment(api, id)).status, 'APPROVED');
    assert.equal(await balanceOf(api, user), 600);
    await until('it is settled', async () => (await letterOf(letter.id)).status === 'replayed');
    const { event: _same, ...anew } = await letterOf(letter.id);
    assert.deepEqual(anew, {
      ...row,
      status: 'replayed',
      attempts: 0,
      resolved_by: 'alice',
      resolved_at: anew.resolved_at,
    });
    const { data: timeline } = (await api.get(`/payments/${id}/timeline`)).body;
    assert.ok(
      timeline.some(({ summary }: { summary: string }) => /^alice replayed wallet\.debit\.requested/.test(summary)),
    );

    await forget(letter.id);
    assert.deepEqual(outcomes(await replay(WALLET, { ranges: [at(letter)] }, BOB)), ['recreated']);
    await until('it is settled again', async () => (await letterOf(letter.id)).status === 'replayed');
    assert.equal(await balanceOf(api, user), 600, 'what was handled is not done again');
    assert.equal((await api.get('/api/v1/ledger/trial-balance')).body.balanced, true);
    const onTopic = await messagesOn(brokers, WALLET);
    assert.equal(onTopic.filter(({ headers }) => headers.caudal_dlq_id === letter.id).length, 1, 'it left once');
  });

  test('of one key keep their order when one of the rows is gone', async () => {
    const payment = api.context.ids.uuid();
    const first = await landed(await poison(payment, 'ONE'));
    const second = await landed(await poison(payment, 'TWO'));
    assert.deepEqual([second.kafka.partition, second.kafka.offset], [first.kafka.partition, first.kafka.offset + 1]);
    const order = () =>
      api.sql.query<{ event_id: string }>('SELECT event_id FROM error_log WHERE key = $1 ORDER BY arrival', [payment]);
    const before = await order();
    await forget(first.id);
    const range = { ...at(first), to: second.kafka.offset };
    assert.deepEqual(outcomes(await replay(PAYMENTS, { ranges: [range] })), ['recreated', 'replayed']);
    assert.deepEqual(await order(), before);
    for (const { event_id } of [first, second]) {
      const { id } = await landed(event_id, 2);
      await api.post(`/api/v1/dlq/${id}/discard`, {}, ALICE);
    }
  });

  test('of other stores, and what is no dead letter, are left alone and named', async () => {
    const letter = await landed(await poison(api.context.ids.uuid(), 'SOMEHOW'));
    const { value, headers } = await messageOf(letter);
    const [topic, partition] = [PAYMENTS, 3];
    const from = await writeStrange(brokers, { topic, partition, value: Buffer.from('what is this?') });
    await writeStrange(brokers, { topic, partition, value, headers: { ...headers, caudal_dlq_store: 'elsewhere' } });
    const broken = { ...JSON.parse(String(value)), value: { id: '\u0000' } };
    const json = Buffer.from(JSON.stringify(broken));
    const to = await writeStrange(brokers, {
      topic,
      partition,
      key: 'k',
      value: json,
      headers: { ...headers, caudal_dlq_id: api.context.ids.uuid(), ce_id: api.context.ids.uuid() },
    });
    const answer = await replay(topic, { ranges: [{ partition, from, to }] });
    assert.deepEqual(outcomes(answer), ['unreadable', 'foreign', 'unreadable']);
    assert.match(answer.body.results[1].detail, /elsewhere/);
    assert.equal((await letterOf(letter.id)).status, 'open');
    await api.post(`/api/v1/dlq/${letter.id}/discard`, {}, ALICE);
  });

  test('are all looked at when no range is given, so many in a request, and no faster than the settings allow', async () => {
    const count = (await messagesOn(brokers, PAYMENTS)).length;
    const few = await api.withContext({ settings: { ...api.context.settings, dlqTopicReadMax: 3 } });
    let ranges: object[] | undefined;
    const seen: { outcome: string }[] = [];
    do {
      const { body } = await few.post(`/api/v1/dlq/topics/${PAYMENTS}/replay`, ranges === undefined ? {} : { ranges });
      assert.ok(body.results.length <= 3);
      seen.push(...body.results);
      ranges = body.remaining;
    } while (ranges!.length > 0);
    assert.equal(seen.length, count);
    for (const status of ['A', 'B', 'C']) await landed(await poison(api.context.ids.uuid(), status));
    const slow = await api.withContext({
      settings: { ...api.context.settings, dlqReplaysPerSecond: 2, maxWaitSeconds: 0 },
    });
    const { body } = await slow.post(`/api/v1/dlq/topics/${PAYMENTS}/replay`, {});
    assert.ok(body.results.filter(({ outcome }: { outcome: string }) => outcome === 'replayed').length <= 2);
    assert.ok(body.remaining.length > 0);
  });

  test('are asked for in a way that can be', async () => {
    const unknown = await replay('payments.created', {});
    assert.deepEqual([unknown.status, unknown.body.code], [404, 'dead_letter_topic_not_found']);
    assert.match(unknown.body.detail, /payments\.dlq, wallet\.dlq, gateway\.dlq/);
    const beyond = await replay(WALLET, { ranges: [{ partition: 6 }] });
    assert.deepEqual([beyond.status, beyond.body.errors[0].field], [422, 'ranges.0.partition']);
    assert.deepEqual((await replay(WALLET, { ranges: [{ partition: 0, from: 10_000, to: 10_000 }] })).body, {
      results: [],
      remaining: [],
    });
  });

  test('leave for their topic again when it was deleted, as long as they are open', async () => {
    const open = await landed(await poison(api.context.ids.uuid(), 'OPEN'));
    const settled = await landed(await poison(api.context.ids.uuid(), 'SETTLED'));
    await api.post(`/api/v1/dlq/${settled.id}/discard`, {}, ALICE);
    await deleteTopics(brokers, [PAYMENTS]);
    let ids: readonly string[] = [];
    await until('it is on the new topic', async () => {
      // Between the two makings there is none to read.
      const seen = await messagesOn(brokers, PAYMENTS).catch(() => []);
      ids = seen.map(({ headers }) => headers.caudal_dlq_id!);
      return ids.includes(open.id);
    });
    assert.ok(!ids.includes(settled.id));
    const found = await landed(open.event_id);
    assert.equal((await messageOf(found)).headers.caudal_dlq_id, open.id);
  });
});
