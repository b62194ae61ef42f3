import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LANDINGS, landingsOf } from '#kernel/bus/landings.ts';
import { findInKafka, findInLog, pruneLandings } from '#kernel/bus/postgres/landings.ts';
import { openWriter } from '../support/appending.ts';
import { openPostgres } from '../support/backends.ts';

const REF = { topic: 'payments.created', partition: 2 };

function events(...places: readonly [chain: number, position: number][]) {
  return places.map(([chain, chainPosition]) => ({ chain, chainPosition }));
}

test('an event is found in Kafka by its place in the log, and in the log by its place in Kafka', async (t) => {
  const { store, pool } = await openPostgres(t);
  const writer = await openWriter(t, store, 'relay');
  const now = Date.now();
  const land = (ref: typeof REF, offset: number, ...places: readonly [number, number][]) =>
    writer.commit({
      appends: [],
      rows: [{ table: LANDINGS, rows: landingsOf(ref, offset, events(...places), now).map((row) => ({ ...row })) }],
    });
  await land(REF, 100, [1, 5], [2, 1], [1, 9]);
  await land(REF, 103, [1, 10], [2, 4]);
  await land({ ...REF, partition: 3 }, 7, [1, 6], [1, 8]);
  const inKafka = async (chain: number, position: number) =>
    (await findInKafka(pool, { chain, position })).map(({ partition, offset }) => `${partition}/${offset}`);
  assert.deepEqual(await inKafka(1, 5), ['2/100']);
  assert.deepEqual(await inKafka(2, 1), ['2/101']);
  assert.deepEqual(await inKafka(1, 9), ['2/102']);
  assert.deepEqual(await inKafka(2, 4), ['2/104']);
  assert.deepEqual(await inKafka(1, 8), ['3/8']);
  assert.deepEqual(await inKafka(1, 7), [], 'no topic carries it');
  assert.deepEqual(await findInLog(pool, { ...REF, offset: 101 }), { chain: 2, position: 1 });
  assert.deepEqual(await findInLog(pool, { ...REF, offset: 102 }), { chain: 1, position: 9 });
  assert.deepEqual(await findInLog(pool, { ...REF, offset: 103 }), { chain: 1, position: 10 });
  assert.equal(await findInLog(pool, { ...REF, offset: 105 }), undefined);
  assert.equal(await findInLog(pool, { ...REF, topic: 'other', offset: 100 }), undefined);
  await land(REF, 200, [1, 9]);
  assert.deepEqual(await inKafka(1, 9), ['2/102', '2/200'], 'it was sent again');
});

test('landings are forgotten when they are old enough, so many at once', async (t) => {
  const { store, pool } = await openPostgres(t);
  const writer = await openWriter(t, store, 'relay');
  const rows = [1, 2, 3, 4].map((n) => landingsOf(REF, n, events([1, n]), Date.now() - (n > 3 ? 0 : 10_000))[0]!);
  await writer.commit({ appends: [], rows: [{ table: LANDINGS, rows: rows.map((row) => ({ ...row })) }] });
  assert.equal(await pruneLandings(pool, 5_000, 2), 2);
  assert.equal(await pruneLandings(pool, 5_000, 2), 1);
  assert.equal(await pruneLandings(pool, 5_000, 2), 0);
  assert.equal((await findInKafka(pool, { chain: 1, position: 4 })).length, 1);
});
