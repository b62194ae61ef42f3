import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kafkaEntry } from '#kernel/bus/kafka/entry.ts';
import { offsetOf } from '#kernel/bus/kafka/standing.ts';
import { LANDINGS, landingsOf } from '#kernel/bus/landings.ts';
import type { Topology } from '#kernel/bus/topology.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import { openWriter } from '../support/appending.ts';
import { openPostgres } from '../support/backends.ts';

const TAG = 17;
const LEFT = { topic: 'left', partition: 0 };
const ENTERED = { topic: 'entered', partition: 0 };
const HANDLED = 10;
const NOW = Date.now();
const MOVE = {
  consumer: 'fraud',
  from: { name: 'from' } as Topology,
  to: { name: 'to' } as Topology,
  on: ({ name }: Topology) => [name === 'to' ? ENTERED : LEFT],
};

const eventsAt = (first: number, count: number) =>
  Array.from({ length: count }, (_, i) => ({ chain: 1, chainPosition: first + i + 1 }) as RecordedEvent);

for (const between of [0, 1, 2, 3])
  test(`what lands while a consumer moves, after ${between} questions, is not passed over`, async (t) => {
    const { store, pool } = await openPostgres(t);
    const writer = await openWriter(t, store, 'relay');
    const land = (first: number, count: number, time: number) =>
      writer.commit({
        appends: [],
        rows: [
          {
            table: LANDINGS,
            rows: [LEFT, ENTERED].flatMap((ref) =>
              landingsOf(ref, first, eventsAt(first, count), time).map((row) => ({ ...row })),
            ),
          },
        ],
      });
    await pool.query('INSERT INTO bus_topics (topic, tag) VALUES ($1, $3), ($2, $3)', ['left', 'entered', TAG]);
    await land(0, HANDLED, NOW);
    let questions = 0;
    const busy: Sql = {
      query: async (text, values) => {
        if (questions++ === between) await land(HANDLED, 3, NOW + 1);
        return pool.query(text, values);
      },
    };
    const leaving = [{ ...LEFT, progress: { topic: TAG, offset: HANDLED, 'store/1': HANDLED } }];
    const goOn = await kafkaEntry([busy])(pool, MOVE, leaving);
    assert.equal(offsetOf(goOn(ENTERED, {})), HANDLED);
  });
