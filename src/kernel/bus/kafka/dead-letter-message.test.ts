import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { asRead, headersOf } from '../../../../tests/support/kafka-message.ts';
import { DataError } from '../../core/errors.ts';
import type { RecordedEvent } from '../../core/event.ts';
import type { DeadLetterMessage } from '../dead-letters.ts';
import { fromMessage, type IncomingMessage, type OutgoingMessage } from './cloud-event.ts';
import { fromDeadLetterMessage, toDeadLetterMessage } from './dead-letter-message.ts';

const ID = '01900000-0000-7000-8000-000000000001';
const STREAM = '01900000-0000-7000-8000-000000000002';
const SOURCE = { store: 'ab12cd34', source: () => '/caudal/payments' };

function letterOf(event: RecordedEvent, fields: Partial<DeadLetterMessage> = {}): DeadLetterMessage {
  return {
    id: ID,
    count: 2,
    arrival: 1234,
    service: 'wallets',
    topic: 'wallet.dlq',
    originalTopic: 'payments.created',
    originalPartition: 5,
    key: STREAM,
    event,
    attempts: 4,
    error: 'it cannot be',
    fingerprint: 'f00d',
    firstSeen: 1_793_000_000_200,
    diedAt: 1_793_000_014_300,
    ...fields,
  };
}

function eventOf(data: object, store?: string): RecordedEvent {
  return {
    id: ID,
    type: 'payments.created',
    version: 2,
    aggregateType: 'payment',
    aggregateId: STREAM,
    streamPosition: 3,
    chain: 4,
    chainPosition: 5,
    sequence: 0,
    time: 1_793_000_000_123,
    data,
    metadata: { correlationid: STREAM, traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' },
    ...(store !== undefined && { store }),
  };
}

/** As a consumer of the topic gets it. */
function read(message: OutgoingMessage): IncomingMessage {
  return asRead(message, 17, Number(message.timestamp));
}

function write(letter: DeadLetterMessage): OutgoingMessage {
  return toDeadLetterMessage(letter, { topic: letter.topic, partition: 1, key: letter.key }, SOURCE);
}

test('the dead letter of an event is read as it was written, the same every time, under the name of its store', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), fc.jsonValue()),
      fc.string({ unit: 'grapheme' }),
      fc.option(fc.constant('a11ce'), { nil: undefined }),
      (data, key, store) => {
        const letter = letterOf(eventOf(JSON.parse(JSON.stringify(data)) as object, store), { key });
        assert.deepEqual(write(letter), write(letter));
        const found = fromDeadLetterMessage(read(write(letter)));
        const event = { ...letter.event, store: store ?? 'ab12cd34' };
        assert.deepEqual(found, { letter: { ...letter, event }, store: 'ab12cd34' });
      },
    ),
  );
});

test('that of a message of a stranger is read as it was kept', () => {
  const bytes = fc.option(fc.uint8Array({ maxLength: 200 }), { nil: null });
  fc.assert(
    fc.property(bytes, bytes, fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string()), (key, value, headers) => {
      const { event } = fromMessage({
        topic: 'payments.created',
        partition: 5,
        offset: 9,
        timestamp: 1_793_000_000_123,
        key: key && Buffer.from(key),
        value: value && Buffer.from(value),
        headers: headersOf(Object.entries(headers)),
      });
      const letter = letterOf(event, { key: event.data.key ?? event.id });
      assert.deepEqual(fromDeadLetterMessage(read(write(letter))).letter, letter);
    }),
  );
});

test('what is no dead letter is refused with a reason', () => {
  const good = read(write(letterOf(eventOf({ id: STREAM }))));
  const without = (name: string) =>
    headersOf(good.headers.entries().filter(([header]) => String(header) !== name) as [Buffer, Buffer][]);
  const value = (body: object) => Buffer.from(JSON.stringify({ ...JSON.parse(String(good.value)), ...body }));
  const wrong: readonly [Partial<IncomingMessage>, RegExp][] = [
    [{ headers: headersOf([]) }, /no header caudal_dlq_partition/],
    [{ headers: without('caudal_dlq_id') }, /no header caudal_dlq_id/],
    [{ headers: without('ce_id') }, /no header ce_id/],
    [{ value: null }, /not JSON/],
    [{ value: Buffer.from('null') }, /no dead letter/],
    [{ value: value({ attempts: 'many' }) }, /no dead letter/],
    [{ value: value({ value: 'text' }) }, /no JSON object/],
  ];
  for (const [change, reason] of wrong)
    assert.throws(
      () => fromDeadLetterMessage({ ...good, ...change }),
      (error: Error) => error instanceof DataError && reason.test(error.message),
    );
});
