import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { asRead, headersOf } from '../../../../tests/support/kafka-message.ts';
import type { RecordedEvent } from '../../core/event.ts';
import { unreadableProblem } from '../unreadable.ts';
import { createMessageWriter, fromMessage, type IncomingMessage, type OutgoingMessage } from './cloud-event.ts';

const ID = '01900000-0000-7000-8000-000000000001';
const STREAM = '01900000-0000-7000-8000-000000000002';
const ORIGIN = { store: 'ab12cd34', source: () => '/caudal/payments' };

const toMessage = createMessageWriter(ORIGIN);

function eventOf(data: object = { id: STREAM, amount: 1 }, causationid?: string): RecordedEvent {
  return {
    id: ID,
    type: 'payments.created',
    version: 2,
    aggregateType: 'payment',
    aggregateId: STREAM,
    streamPosition: 3,
    chain: 4,
    chainPosition: 123_456_789_012,
    time: 1_793_000_000_123,
    data,
    metadata: {
      correlationid: STREAM,
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      ...(causationid !== undefined && { causationid }),
    },
  };
}

const PLACE = { topic: 'payments.created', partition: 5, key: STREAM };

function read(message: OutgoingMessage): IncomingMessage {
  return asRead(message, 7, 1_793_000_000_999);
}

test('an event is a CloudEvent in binary mode: attributes in headers, the payload alone as the value', () => {
  const written = toMessage(eventOf(), PLACE, '281474976710655');
  const message = read(written);
  assert.deepEqual(
    Object.fromEntries(message.headers.entries().map(([name, value]) => [String(name), String(value)])),
    {
      'content-type': 'application/json',
      ce_specversion: '1.0',
      ce_id: ID,
      ce_source: '/caudal/payments',
      ce_type: 'payments.created',
      ce_time: '2026-10-26T07:33:20.123Z',
      ce_subject: STREAM,
      ce_traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      ce_correlationid: STREAM,
      ce_schemaversion: '2',
      ce_aggregatetype: 'payment',
      ce_streamposition: '3',
      ce_store: 'ab12cd34',
      ce_chain: '4',
      ce_chainposition: '123456789012',
      ce_topictag: '281474976710655',
    },
  );
  assert.equal(String(message.key), STREAM);
  assert.deepEqual(JSON.parse(String(message.value)), { id: STREAM, amount: 1 });
  assert.equal(written.timestamp, 1_793_000_000_123n);
});

test('what is read is what was written', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), fc.jsonValue()),
      fc.option(fc.uuid(), { nil: undefined }),
      (data, causationid) => {
        const event = eventOf(JSON.parse(JSON.stringify(data)) as object, causationid);
        const found = fromMessage(read(toMessage(event, PLACE, '17')));
        assert.deepEqual(found, {
          event: { ...event, sequence: 0, store: 'ab12cd34' },
          chain: 'ab12cd34/4',
          writtenFor: 17,
        });
      },
    ),
  );
});

/** A message of ours with something wrong in it. */
function damaged(
  change: (message: { value: Buffer | null; headers: Map<string, string> }) => unknown,
): IncomingMessage {
  const written = read(toMessage(eventOf(), PLACE));
  const message = {
    value: written.value,
    headers: new Map(written.headers.entries().map(([name, value]) => [String(name), String(value)])),
  };
  change(message);
  return { ...written, value: message.value, headers: headersOf([...message.headers]) };
}

const STRANGERS: readonly [string, IncomingMessage, RegExp][] = [
  ['no headers', damaged(({ headers }) => headers.clear()), /no header ce_specversion/],
  ['no id', damaged(({ headers }) => void headers.delete('ce_id')), /no header ce_id/],
  ['an id that is none', damaged(({ headers }) => void headers.set('ce_id', 'x')), /ce_id is no UUID/],
  [
    'a chain that is none',
    damaged(({ headers }) => void headers.set('ce_chain', '1.5')),
    /ce_chain is no whole number/,
  ],
  ['a position that is none', damaged(({ headers }) => void headers.set('ce_chainposition', '-1')), /no whole number/],
  ['a time that is none', damaged(({ headers }) => void headers.set('ce_time', 'soon')), /ce_time/],
  ['another version', damaged(({ headers }) => void headers.set('ce_specversion', '0.3')), /version 1\.0/],
  ['no value', damaged((message) => Object.assign(message, { value: null })), /not JSON/],
  ['no JSON', damaged((message) => Object.assign(message, { value: Buffer.from('hello\u0000') })), /not JSON/],
  ['no object', damaged((message) => Object.assign(message, { value: Buffer.from('[1]') })), /no JSON object/],
  ['bytes', damaged((message) => Object.assign(message, { value: Buffer.alloc(2 ** 21, 255) })), /not JSON/],
];

for (const [what, message, problem] of STRANGERS) {
  test(`a message with ${what} becomes an event that says so, with what it held`, () => {
    const { event, chain } = fromMessage(message);
    assert.match(unreadableProblem(event)!, problem);
    assert.equal(chain, undefined);
    assert.equal(event.data.bytes, message.value?.length ?? 0);
    assert.ok(JSON.stringify(event).length < 100_000, 'no more is kept than an operator can use');
    assert.ok(!JSON.stringify(event).includes('\\u0000'), 'a jsonb column takes it');
    assert.deepEqual(fromMessage(message), { event, chain }, 'it has the same id whenever it is read');
  });
}

test('an event of ours is no unreadable one', () => {
  assert.equal(unreadableProblem(eventOf()), undefined);
});

test('what messages have in common is told anew when it changes', () => {
  const toMessage = createMessageWriter(ORIGIN);
  const event = eventOf();
  const changes: readonly (readonly [RecordedEvent, string | undefined])[] = [
    [event, '17'],
    [event, '17'],
    [event, '18'],
    [event, undefined],
    [{ ...event, chain: 5 }, undefined],
    [{ ...event, chain: 5, version: 3 }, undefined],
    [{ ...event, chain: 5, version: 3, aggregateType: 'refund' }, undefined],
    [{ ...event, type: 'payments.approved' }, undefined],
    [event, '17'],
  ];
  for (const [changed, topicTag] of changes)
    assert.deepEqual(fromMessage(read(toMessage(changed, PLACE, topicTag))), {
      event: { ...changed, sequence: 0, store: 'ab12cd34' },
      chain: `ab12cd34/${changed.chain}`,
      writtenFor: topicTag === undefined ? undefined : Number(topicTag),
    });
});
