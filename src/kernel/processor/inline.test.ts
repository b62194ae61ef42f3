import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RecordedEvent } from '../core/event.ts';
import type { RowProjection } from '../core/projection.ts';
import { createInlineProjections } from './inline.ts';

const movements: RowProjection = {
  kind: 'rows',
  name: 'accounts',
  table: { name: 'accounts', columns: { id: 'text', movements: 'bigint' }, key: ['id'] },
  events: ['opened', 'moved'],
  key: (event) => [event.aggregateId],
  startsRow: (event) => event.type === 'opened',
  evolve: (row, event) =>
    event.type === 'opened'
      ? { id: event.aggregateId, movements: 0 }
      : { ...row, movements: (row!.movements as number) + 1 },
};

function event(type: string, streamPosition: number): RecordedEvent {
  return {
    id: `${streamPosition}`,
    type,
    version: 1,
    aggregateType: 'account',
    aggregateId: 'a',
    streamPosition,
    chain: 1,
    chainPosition: streamPosition,
    time: 0,
    data: {},
    metadata: { correlationid: 'a', traceparent: '' },
  };
}

/** What the store holds is what was committed before. */
function open(stored: number) {
  return createInlineProjections([movements], { loadRows: async () => [{ id: 'a', movements: stored }] }, 10);
}

test('a batch goes on from the rows of the one before it that is not committed yet', async () => {
  const inline = open(0);
  await inline.writesFor([event('opened', 1), event('moved', 2)]);
  // Position 3 is an event that the read model does not take.
  const { rows } = await inline.writesFor([event('moved', 4)], true);
  assert.deepEqual(rows[0]!.rows, [{ id: 'a', movements: 2 }]);
});

test('rows of a batch that was not committed are not gone on from by one that is decided anew', async () => {
  const inline = open(7);
  await inline.writesFor([event('moved', 2)]);
  const { rows } = await inline.writesFor([event('moved', 2)]);
  assert.deepEqual(rows[0]!.rows, [{ id: 'a', movements: 8 }]);
});

test('a row in memory is used only at the very next position of its stream', async () => {
  const inline = open(40);
  const first = await inline.writesFor([event('opened', 1)]);
  first.committed();
  assert.deepEqual((await inline.writesFor([event('moved', 2)])).rows[0]!.rows, [{ id: 'a', movements: 1 }]);
  assert.deepEqual((await inline.writesFor([event('moved', 3)])).rows[0]!.rows, [{ id: 'a', movements: 41 }]);
});
