import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RecordedEvent } from '#kernel/core/event.ts';
import type { FailedMessage } from '#kernel/event-store/store.ts';
import { append, newStream, openWriter, wholeLog } from '../../support/appending.ts';
import { describeBackends } from '../../support/backends.ts';

function failed(event: RecordedEvent, fields: Partial<FailedMessage> = {}): FailedMessage {
  return {
    consumer: 'c',
    eventId: event.id,
    topic: 'counters',
    partition: 1,
    key: event.aggregateId,
    dlqTopic: 'counters.dlq',
    event,
    attempts: 1,
    error: 'ä "failure"',
    fingerprint: 'f',
    failedAt: 1_793_000_000_000,
    retryAt: 1_793_000_002_000,
    ...fields,
  };
}

const PARTITIONS = [0, 1].map((partition) => ({ topic: 'counters', partition }));

describeBackends('failed messages', (open) => {
  test('those to be tried again come in the order of arrival, of the partitions asked for', async (t) => {
    const { store, failures } = await open(t);
    const writer = await openWriter(t, store);
    await writer.commit({ appends: [0, 1, 2, 3].map(() => append(newStream(), 0)) });
    const [a, b, c, d] = (await wholeLog(store)) as [RecordedEvent, RecordedEvent, RecordedEvent, RecordedEvent];
    const elsewhere = failed(c, { partition: 2 });
    await writer.commit({ appends: [], failures: { failed: [failed(d), elsewhere, failed(b)], settled: [] } });
    await writer.commit({ appends: [], failures: { failed: [failed(a), failed(d, { attempts: 2 })], settled: [] } });
    const waiting = await failures.retrying('c', PARTITIONS, 10);
    assert.deepEqual(
      waiting.map((message) => [message.event.id, message.attempts]),
      [
        [d.id, 2],
        [b.id, 1],
        [a.id, 1],
      ],
    );
    assert.deepEqual(waiting[1], {
      event: b,
      place: { topic: 'counters', partition: 1, key: b.aggregateId },
      attempts: 1,
      retryAt: 1_793_000_002_000,
    });
    assert.equal((await failures.retrying('c', PARTITIONS, 2)).length, 2);
    assert.deepEqual(await failures.retrying('another', PARTITIONS, 10), []);
  });

  test('one that is dead, or that was handled, is not tried again', async (t) => {
    const { store, failures } = await open(t);
    const writer = await openWriter(t, store);
    await writer.commit({ appends: [append(newStream(), 0), append(newStream(), 0)] });
    const [a, b] = (await wholeLog(store)) as [RecordedEvent, RecordedEvent];
    await writer.commit({ appends: [], failures: { failed: [failed(a), failed(b)], settled: [] } });
    const { retryAt, ...dead } = failed(a);
    const settled = [{ consumer: 'c', eventId: b.id }];
    await writer.commit({ appends: [], failures: { failed: [dead], settled } });
    assert.deepEqual(await failures.retrying('c', PARTITIONS, 10), []);
  });
});
