import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createIdSource } from '#kernel/core/ids.ts';
import { makePartitionsAhead } from '#kernel/event-store/postgres/months.ts';
import { type StoreFinding, verifyStore } from '#kernel/event-store/postgres/verify.ts';
import { append, newStream, openWriter, pending } from '../../support/appending.ts';
import { openPostgres, type PostgresBackend } from '../../support/backends.ts';

const OCTOBER = Date.parse('2026-10-15T12:00:00Z');
const NOVEMBER = Date.parse('2026-11-15T12:00:00Z');

interface Filled extends PostgresBackend {
  /** The events of chain 1, by position from 1 on. */
  readonly ids: readonly string[];
  /** A stream with four events at positions 2, 5, 8 and 11 of chain 1. */
  readonly long: { readonly type: string; readonly id: string };
}

/** Two chains over two months; twelve events in the first, three in the other. */
async function filled(t: TestContext): Promise<Filled> {
  const backend = await openPostgres(t);
  const { store, clock, pool } = backend;
  clock.set(OCTOBER);
  const [first, other] = [await openWriter(t, store, 'first'), await openWriter(t, store, 'other')];
  const source = createIdSource(clock);
  const long = newStream('counter', source.uuid());
  const ids: string[] = [];
  for (let n = 0; n < 4; n++) {
    if (n === 2) clock.set(NOVEMBER);
    for (const one of [newStream('counter', source.uuid()), long, newStream('counter', source.uuid())]) {
      const event = pending({ n, amount: 0.1 + n, 'ž"': [null, { b: 1, a: 2 }] });
      const { events } = await first.commit({ appends: [append(one, one === long ? n : 0, event)] });
      ids.push(events[0]!.id);
    }
    if (n < 3) await other.commit({ appends: [append(newStream('counter', source.uuid()), 0)] });
  }
  await makePartitionsAhead(pool, NOVEMBER, 1);
  return { ...backend, ids, long };
}

async function found(backend: PostgresBackend): Promise<readonly Partial<StoreFinding>[]> {
  const findings = await verifyStore(backend.pool);
  return findings.map(({ message, ...rest }) => {
    assert.ok(message.length > 0);
    return rest;
  });
}

test('a good store has nothing to find, and all of it is read', async (t) => {
  const { pool } = await filled(t);
  const seen: number[] = [];
  const findings = await verifyStore(pool, { onProgress: (checked, total) => seen.push(checked, total) });
  assert.deepEqual(findings, []);
  assert.deepEqual(seen.slice(-2), [15, 15]);
});

test('an empty store has nothing to find', async (t) => {
  const { pool } = await openPostgres(t);
  assert.deepEqual(await verifyStore(pool), []);
});

/** What is found after statements of a forger; then all is put back as it was. */
async function after(
  backend: PostgresBackend,
  ...forgery: readonly string[]
): Promise<readonly Partial<StoreFinding>[]> {
  const { pool } = backend;
  await pool.query('CREATE TABLE saved_events AS SELECT * FROM events');
  await pool.query('CREATE TABLE saved_chains AS SELECT * FROM event_chains');
  for (const statement of forgery) await pool.query(statement);
  const findings = await found(backend);
  await pool.query('DELETE FROM events');
  await pool.query('INSERT INTO events SELECT * FROM saved_events');
  await pool.query(
    'UPDATE event_chains c SET position = s.position, hash = s.hash FROM saved_chains s WHERE s.chain = c.chain',
  );
  await pool.query('DROP TABLE saved_events, saved_chains');
  await pool.query('DROP TABLE IF EXISTS forged');
  return findings;
}

const CHANGES: Readonly<Record<string, string>> = {
  aggregate_id: 'gen_random_uuid()',
  stream_position: 'stream_position + 7',
  '"timestamp"': `"timestamp" + interval '1 millisecond'`,
  created_at: `created_at + interval '1 microsecond'`,
  event_version: 'event_version + 1',
  aggregate_type: `'wallet'`,
  event_type: `'counter.reset'`,
  event_data: `jsonb_set(event_data, '{n}', '17')`,
  event_metadata: `event_metadata || '{"causationid": "x"}'`,
  hash: `decode(repeat('ab', 32), 'hex')`,
  sequence_number: 'sequence_number + 1000',
};

for (const [column, value] of Object.entries(CHANGES)) {
  test(`a changed ${column} is one finding that names the event`, async (t) => {
    const backend = await filled(t);
    for (const position of [1, 5, 8]) {
      const id = backend.ids[position - 1]!;
      const findings = await after(backend, `UPDATE events SET ${column} = ${value} WHERE event_id = '${id}'`);
      const places = findings.map(({ kind, eventId, chain, chainPosition }) => [kind, eventId, chain, chainPosition]);
      assert.deepEqual(places, [['changed', id, 1, position]]);
    }
  });
}

test('a changed event_id is one finding that names the place', async (t) => {
  const backend = await filled(t);
  const [finding, ...others] = await after(
    backend,
    `UPDATE events SET event_id = gen_random_uuid() WHERE event_id = '${backend.ids[4]}'`,
  );
  assert.deepEqual(others, []);
  assert.equal(finding!.kind, 'changed');
  assert.deepEqual([finding!.stream, finding!.streamPosition, finding!.chainPosition], [backend.long, 2, 5]);
});

for (const change of ['chain_position = 40', 'chain_position = 0', 'chain_position = -3', 'chain = 2', 'chain = 77']) {
  test(`an event that was moved in the log by ${change} is one finding that names it`, async (t) => {
    const backend = await filled(t);
    const id = backend.ids[7]!;
    const findings = await after(backend, `UPDATE events SET ${change} WHERE event_id = '${id}'`);
    assert.deepEqual(
      findings.map(({ kind, eventId }) => [kind, eventId]),
      [['changed', id]],
    );
  });
}

test('several changed events are found each once, also next to each other', async (t) => {
  const backend = await filled(t);
  const ids = [3, 4, 5, 11].map((position) => backend.ids[position]!);
  const list = ids.map((id) => `'${id}'`).join();
  const findings = await after(backend, `UPDATE events SET event_data = '{}' WHERE event_id IN (${list})`);
  assert.deepEqual(
    findings.map(({ eventId }) => eventId),
    ids,
  );
});

test('a removed event is named by its place in chain and stream', async (t) => {
  const backend = await filled(t);
  const findings = await after(backend, `DELETE FROM events WHERE event_id = '${backend.ids[4]}'`);
  assert.deepEqual(findings, [
    { kind: 'removed', chain: 1, chainPosition: 5, stream: backend.long, streamPosition: 2 },
  ]);
});

test('the first and the last event of a chain are missed too', async (t) => {
  const backend = await filled(t);
  for (const position of [1, 12]) {
    const findings = await after(backend, `DELETE FROM events WHERE event_id = '${backend.ids[position - 1]}'`);
    assert.deepEqual(findings, [{ kind: 'removed', chain: 1, chainPosition: position }]);
  }
});

test('a removed stretch, and a removed partition, are one finding for each chain', async (t) => {
  const backend = await filled(t);
  const stretch = await after(backend, 'DELETE FROM events WHERE chain = 1 AND chain_position BETWEEN 4 AND 6');
  assert.deepEqual(stretch, [{ kind: 'removed', chain: 1, chainPosition: 4, stream: backend.long, streamPosition: 2 }]);
  const month = await after(backend, 'DELETE FROM events_2026_11');
  assert.deepEqual(
    month.map(({ kind, chain, chainPosition }) => [kind, chain, chainPosition]),
    [
      ['removed', 1, 7],
      ['removed', 2, 3],
    ],
  );
});

test('an event removed together with the end of its chain shows in event_chains or in the stream', async (t) => {
  const backend = await filled(t);
  const findings = await after(
    backend,
    `DELETE FROM events WHERE chain = 1 AND chain_position = 12`,
    `UPDATE event_chains SET position = 11 WHERE chain = 1`,
  );
  assert.deepEqual(findings, [{ kind: 'chain-end', chain: 1, chainPosition: 11 }]);
});

const COPY = `INSERT INTO events SELECT gen_random_uuid(), aggregate_id, nextval('events_sequence_number'), stream_position, chain_position,
  "timestamp", created_at, chain, event_version, aggregate_type, event_type, event_data, event_metadata, hash FROM forged`;

for (const [what, change] of Object.entries({
  'after the end of its chain': 'chain_position = 13, stream_position = 5',
  'in a chain that nobody writes': 'chain = 77, chain_position = 1, stream_position = 5',
  'at a place that is taken, in another month': `created_at = '2026-12-03', stream_position = 5`,
  'as a second event at a position of its stream': `created_at = '2026-12-03', chain_position = 13`,
  'as a new stream': `chain_position = 13, aggregate_id = gen_random_uuid(), stream_position = 1`,
})) {
  test(`a row inserted ${what} is one finding that names it`, async (t) => {
    const backend = await filled(t);
    const findings = await after(
      backend,
      `CREATE TABLE forged AS SELECT * FROM events WHERE event_id = '${backend.ids[10]}'`,
      `UPDATE forged SET ${change}`,
      COPY,
    );
    assert.deepEqual(
      findings.map(({ kind }) => kind),
      ['inserted'],
    );
    assert.ok(findings[0]!.eventId !== undefined && !backend.ids.includes(findings[0]!.eventId));
  });
}

test('two events at one position of a stream are found even when the chains are sound', async (t) => {
  const backend = await filled(t);
  const stream = newStream('counter', backend.long.id);
  const { pool, storeWith, clock } = backend;
  await pool.query(`UPDATE event_months SET closed = true WHERE month = (SELECT max(month) FROM event_months)`);
  const writer = await openWriter(t, storeWith(clock), 'rogue');
  await writer.commit({ appends: [{ ...append(stream, 3), lastMonth: (await latestMonth(backend)) + 1 }] });
  const findings = await found(backend);
  assert.deepEqual(
    findings.map(({ kind, stream: at, streamPosition }) => [kind, at, streamPosition]),
    [['stream', stream, 4]],
  );
});

async function latestMonth({ pool }: PostgresBackend): Promise<number> {
  const rows = await pool.query<{ month: number }>('SELECT max(month) AS month FROM event_months');
  return rows[0]!.month;
}
