import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { PartitionRef } from '#kernel/bus/group.ts';
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
const BESIDE = { topic: 'entered', partition: 1 };
const HANDLED = 10;
const NOW = Date.now();
const MOVE = {
  consumer: 'fraud',
  from: { name: 'from' } as Topology,
  to: { name: 'to' } as Topology,
  on: ({ name }: Topology) => [...(name === 'to' ? [ENTERED, BESIDE] : [LEFT])],
};

const eventsAt = (first: number, count: number) =>
  Array.from({ length: count }, (_, i) => ({ chain: 1, chainPosition: first + i + 1 }) as RecordedEvent);

interface Written {
  /** What lies before it in the chain, and on the topics unless said otherwise. */
  readonly behind: number;
  readonly count: number;
  readonly at?: number;
  readonly entering?: PartitionRef;
  readonly offset?: number;
}

async function openStore(t: TestContext) {
  const { store, pool } = await openPostgres(t);
  const writer = await openWriter(t, store, 'relay');
  await pool.query('INSERT INTO bus_topics (topic, tag) VALUES ($1, $3), ($2, $3)', ['left', 'entered', TAG]);
  const land = ({ behind, count, at = NOW, entering = ENTERED, offset = behind }: Written) =>
    writer.commit({
      appends: [],
      rows: [
        {
          table: LANDINGS,
          rows: [LEFT, entering].flatMap((ref) =>
            landingsOf(ref, offset, eventsAt(behind, count), at).map((row) => ({ ...row })),
          ),
        },
      ],
    });
  return { pool, land };
}

const leavingAt = (offset: number) => [{ ...LEFT, progress: { topic: TAG, offset, 'store/1': offset } }];

for (const between of [0, 1, 2, 3])
  test(`what lands while a consumer moves, after ${between} questions, is not passed over`, async (t) => {
    const { pool, land } = await openStore(t);
    await land({ behind: 0, count: HANDLED });
    let questions = 0;
    const busy: Sql = {
      query: async (text, values) => {
        if (questions++ === between) await land({ behind: HANDLED, count: 3, at: NOW + 1 });
        return pool.query(text, values);
      },
    };
    const goOn = await kafkaEntry([busy])(pool, MOVE, leavingAt(HANDLED));
    assert.equal(offsetOf(goOn(ENTERED, {})), HANDLED);
  });

test('what one store has not noted yet is not passed over for what another has noted behind it', async (t) => {
  const { pool, land } = await openStore(t);
  const other = await openStore(t);
  await land({ behind: 0, count: 4 });
  // At the offsets 4 to 6 is what the first store has sent and not noted.
  await other.land({ behind: 0, count: 3, offset: 7 });
  for (const stores of [
    [pool, other.pool],
    [other.pool, pool],
  ]) {
    const goOn = await kafkaEntry(stores)(pool, MOVE, leavingAt(HANDLED));
    assert.equal(offsetOf(goOn(ENTERED, {})), 4);
  }
});

test('a partition in which one of the stores has noted nothing is read from where the consumer stood in it', async (t) => {
  const { pool, land } = await openStore(t);
  const other = await openStore(t);
  await land({ behind: 0, count: 4 });
  const goOn = await kafkaEntry([pool, other.pool])(pool, MOVE, leavingAt(HANDLED));
  assert.deepEqual(goOn(ENTERED, {}), {});
  assert.deepEqual(goOn(ENTERED, { topic: TAG, offset: 2 }), { topic: TAG, offset: 2 });
});

test('a clock that is set back while a consumer moves hides nothing', async (t) => {
  const { pool, land } = await openStore(t);
  await land({ behind: 0, count: HANDLED });
  await land({ behind: HANDLED, count: 3 });
  await land({ behind: HANDLED + 3, count: 2, at: NOW - 60_000, entering: BESIDE });
  const goOn = await kafkaEntry([pool])(pool, MOVE, leavingAt(HANDLED));
  assert.equal(offsetOf(goOn(ENTERED, {})), HANDLED);
  assert.equal(offsetOf(goOn(BESIDE, {})), HANDLED + 3);
});
