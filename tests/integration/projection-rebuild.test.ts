import assert from 'node:assert/strict';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createConsumer } from '#kernel/bus/consumer.ts';
import { createPostgresGroupStore } from '#kernel/bus/postgres/group-store.ts';
import { createTail, type Tail } from '#kernel/bus/tail.ts';
import type { Topology } from '#kernel/bus/topology.ts';
import { systemClock } from '#kernel/core/clock.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { createIdSource } from '#kernel/core/ids.ts';
import { distance } from '#kernel/core/log-position.ts';
import type { RowProjection, SumProjection } from '#kernel/core/projection.ts';
import { createPostgresStore } from '#kernel/event-store/postgres/store.ts';
import type { Store, Writer } from '#kernel/event-store/store.ts';
import { createLog } from '#kernel/observability/log.ts';
import { migrate } from '#kernel/postgres/migrator.ts';
import { createPool, type Pool } from '#kernel/postgres/pool.ts';
import type { ReadModel } from '#kernel/projections/build.ts';
import { checkReadModel } from '#kernel/projections/check.ts';
import { createFollower, type Follower } from '#kernel/projections/follower.ts';
import { readCoverage } from '#kernel/projections/postgres/coverage.ts';
import { rebuild } from '#kernel/projections/rebuild.ts';
import { createDatabase } from '../support/postgres.ts';

const COUNTERS: RowProjection = {
  kind: 'rows',
  name: 'counters',
  table: {
    name: 'shop.counters',
    columns: {
      id: 'uuid',
      name: 'text',
      total: 'bigint',
      changes: 'integer',
      changed_at: 'timestamptz',
      extra: 'jsonb',
    },
    key: ['id'],
  },
  events: ['counter.made', 'counter.raised'],
  key: (event) => [event.aggregateId],
  startsRow: (event) => event.type === 'counter.made',
  evolve: (row, { type, aggregateId, data, time }) =>
    type === 'counter.made'
      ? { id: aggregateId, name: data.name, total: 0, changes: 0, changed_at: time, extra: { made: true } }
      : { ...row!, total: (row!.total as number) + data.by, changes: (row!.changes as number) + 1, changed_at: time },
};

const TOTALS: SumProjection = {
  kind: 'sums',
  name: 'totals',
  table: {
    name: 'shop.totals',
    columns: { name: 'text', stripe: 'integer', total: 'bigint' },
    key: ['name', 'stripe'],
  },
  events: ['counter.raised'],
  increments: ({ data }) => [{ key: { name: data.name }, add: { total: data.by } }],
};

const TABLES = `
  CREATE SCHEMA shop;
  CREATE TABLE shop.counters (id uuid PRIMARY KEY, name text NOT NULL, total bigint NOT NULL CONSTRAINT counters_positive CHECK (total >= 0),
    changes integer NOT NULL DEFAULT 0, changed_at timestamptz NOT NULL, extra jsonb) WITH (fillfactor = 70);
  CREATE INDEX busy_counters ON shop.counters (changes DESC, name) WHERE changes > 0;
  COMMENT ON TABLE shop.counters IS 'what was counted';
  COMMENT ON COLUMN shop.counters.extra IS 'more';
  CREATE ROLE reporter_of_rebuild; GRANT SELECT ON shop.counters TO reporter_of_rebuild;
  CREATE TABLE shop.totals (name text, stripe integer, total numeric NOT NULL, PRIMARY KEY (name, stripe));`;

const FOLLOWED: ReadModel = {
  projection: COUNTERS,
  consumer: 'shop-projections',
  types: COUNTERS.events,
  ownTypes: new Set(),
};
const INLINE: ReadModel = {
  projection: TOTALS,
  consumer: 'shop',
  types: TOTALS.events,
  ownTypes: new Set(TOTALS.events),
};
const TOPOLOGY: Topology = { name: 'none', topics: [], routes: new Map() };
const log = createLog('silent');
const ids = createIdSource();
const KERNEL = { scope: 'kernel', directory: join(import.meta.dirname, '../../src/kernel/postgres/migrations') };

describe('rebuilding a read model', () => {
  let pool: Pool;
  let store: Store;
  let tail: Tail;
  let writer: Writer;
  let follower: Follower | undefined;
  let counters: { readonly id: string; position: number }[];

  beforeEach(async () => {
    const url = await createDatabase();
    pool = createPool(
      { url, applicationName: 'caudal test', maxConnections: 5, statementTimeoutMs: 10_000 },
      () => undefined,
    );
    await migrate(pool, [KERNEL]);
    for (const statement of TABLES.split(';\n')) await pool.query(statement.replace(/;$/, ''));
    store = createPostgresStore({ url, instance: 'test', resolveTimeoutMs: 1000 }, pool, systemClock);
    tail = createTail();
    writer = await store.openWriter('writer');
    counters = [];
  });

  afterEach(async () => {
    await follower?.stop();
    follower = undefined;
    await writer.close();
    await pool.query('DROP OWNED BY reporter_of_rebuild');
    await pool.query('DROP ROLE reporter_of_rebuild');
    await pool.close();
  });

  async function startFollower(): Promise<Follower> {
    const groups = createPostgresGroupStore(pool);
    const limits = { maxInbox: 500, fetchSize: 200, leaseMs: 5000 };
    const settings = { name: FOLLOWED.consumer, member: 'one', types: COUNTERS.events, exclusive: true, ...limits };
    const consumer = createConsumer(settings, { store, groups, tail, topologies: [TOPOLOGY] });
    const pace = { maxBatch: 100, maxCachedRows: 50, gatherMs: 1, busyGatherMs: 1, busyEvents: 1000, heartbeatMs: 50 };
    follower = createFollower(FOLLOWED.consumer, [COUNTERS], pace, { store, consumer, log, clock: systemClock });
    await follower.start();
    return follower;
  }

  async function append(ref: { id: string; position: number }, type: string, data: object): Promise<RecordedEvent> {
    const event = {
      id: ids.uuid(),
      type,
      version: 1,
      time: Date.now(),
      data,
      metadata: { correlationid: ref.id, traceparent: '00' },
    };
    const sums =
      type === 'counter.raised'
        ? [{ table: TOTALS.table, rows: [{ name: 'all', total: (data as { by: number }).by }] }]
        : [];
    const committed = await writer.commit({
      appends: [{ stream: { type: 'counter', id: ref.id }, expectedPosition: ref.position, events: [event] }],
      sums,
    });
    ref.position += 1;
    tail.publish(committed);
    return committed.events[0]!;
  }

  async function makeCounters(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const ref = { id: ids.uuid(), position: 0 };
      await append(ref, 'counter.made', { name: `counter ${i}` });
      counters.push(ref);
    }
  }

  async function raise(times: number): Promise<void> {
    for (let i = 0; i < times; i++)
      await append(counters[i % counters.length]!, 'counter.raised', { name: 'all', by: (i % 9) + 1 });
  }

  /** By what is saved: a follower that was put out of its group has no lag of its own. */
  async function caughtUp(): Promise<void> {
    for (;;) {
      const { floor } = await readCoverage(pool, FOLLOWED, [TOPOLOGY]);
      if (distance(floor, await store.head()) === 0) return;
      await sleep(5);
    }
  }

  const run = (model: ReadModel, replace = false) =>
    rebuild(model, { pool, topologies: [TOPOLOGY] }, { replace, onProgress: () => undefined });

  const described = () =>
    pool.query<{ what: string }>(
      `SELECT what FROM (SELECT indexdef AS what FROM pg_indexes WHERE schemaname = 'shop'
        UNION ALL SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'shop'::regnamespace
        UNION ALL SELECT relname || ' ' || coalesce(reloptions::text, '') || coalesce(obj_description(oid), '') || coalesce(relacl::text, '')
          FROM pg_class WHERE relnamespace = 'shop'::regnamespace AND relkind = 'r'
        UNION ALL SELECT attname || coalesce(col_description(attrelid, attnum), '') FROM pg_attribute
          WHERE attrelid = 'shop.counters'::regclass AND attnum > 0) d ORDER BY what`,
    );

  test('makes the same table, with its indexes, checks, settings, comments and grants', async () => {
    await startFollower();
    await makeCounters(20);
    await raise(100);
    await caughtUp();
    const before = [await described(), await pool.query('SELECT * FROM shop.counters ORDER BY id')];
    const outcome = await run(FOLLOWED);
    assert.deepEqual(outcome, { rows: 20, different: 0, examples: [], events: 120, swapped: true });
    assert.deepEqual([await described(), await pool.query('SELECT * FROM shop.counters ORDER BY id')], before);
  });

  test('swaps under a follower that goes on, losing and doubling nothing', async () => {
    await startFollower();
    await makeCounters(30);
    let going = true;
    let raised = 0;
    const load = (async () => {
      while (going) {
        await raise(30);
        raised += 30;
      }
    })();
    try {
      for (let i = 0; i < 3; i++) {
        const outcome = await run(FOLLOWED);
        assert.equal(outcome.swapped, true, `rows that differ: ${outcome.examples}`);
      }
    } finally {
      going = false;
      await load;
    }
    await caughtUp();
    const [sum] = await pool.query<{ changes: number }>('SELECT sum(changes) AS changes FROM shop.counters');
    assert.equal(Number(sum!.changes), raised);
    assert.equal((await run(FOLLOWED)).different, 0);
  });

  test('keeps the old table when the new one differs, and names the rows', async () => {
    await startFollower();
    await makeCounters(5);
    await raise(20);
    await caughtUp();
    await pool.query('UPDATE shop.counters SET total = total + 1 WHERE id = $1', [counters[0]!.id]);
    await pool.query('DELETE FROM shop.counters WHERE id = $1', [counters[1]!.id]);
    const outcome = await run(FOLLOWED);
    assert.equal(outcome.swapped, false);
    assert.equal(outcome.different, 2);
    assert.deepEqual([...outcome.examples].sort(), [counters[0]!.id, counters[1]!.id].sort());
    const [left] = await pool.query<{ count: number }>('SELECT count(*) FROM shop.counters');
    assert.equal(left!.count, 4);
    const [twin] = await pool.query<{ oid: string | null }>(`SELECT to_regclass('shop.counters_rebuilt')::text AS oid`);
    assert.equal(twin!.oid, null);
  });

  test('with replace mends a damaged table under a follower that has its rows in memory', async () => {
    await startFollower();
    await makeCounters(5);
    await raise(20);
    await caughtUp();
    await pool.query('UPDATE shop.counters SET total = total + 100');
    const outcome = await run(FOLLOWED, true);
    assert.deepEqual([outcome.swapped, outcome.different], [true, 5]);
    await raise(20);
    await caughtUp();
    const [sum] = await pool.query<{ total: number }>('SELECT sum(total)::bigint AS total FROM shop.counters');
    const [want] = await pool.query<{ total: number }>(
      `SELECT sum((event_data->>'by')::int)::bigint AS total FROM events WHERE event_type = 'counter.raised'`,
    );
    assert.equal(sum!.total, want!.total);
    assert.equal((await run(FOLLOWED)).different, 0);
  });

  test('rebuilds from where a follower stopped, and lets it go on there', async () => {
    const first = await startFollower();
    await makeCounters(5);
    await caughtUp();
    await first.stop();
    await raise(50);
    const outcome = await run(FOLLOWED);
    assert.deepEqual([outcome.events, outcome.different, outcome.swapped], [5, 0, true]);
    await startFollower();
    await caughtUp();
    const [sum] = await pool.query<{ changes: number }>('SELECT sum(changes) AS changes FROM shop.counters');
    assert.equal(Number(sum!.changes), 50);
  });

  test('rebuilds sums that are written with the events themselves, while they are', async () => {
    await makeCounters(3);
    await raise(50);
    const load = raise(200);
    const outcome = await run(INLINE);
    await load;
    assert.deepEqual([outcome.different, outcome.swapped], [0, true]);
    const [sum] = await pool.query<{ total: number }>('SELECT sum(total)::bigint AS total FROM shop.totals');
    const [want] = await pool.query<{ total: number }>(
      `SELECT sum((event_data->>'by')::int)::bigint AS total FROM events WHERE event_type = 'counter.raised'`,
    );
    assert.equal(sum!.total, want!.total);
  });

  test('refuses while messages of its consumer wait, and while another rebuild runs', async () => {
    await makeCounters(3);
    await pool.query(
      `INSERT INTO error_log (consumer, event_id, dlq_topic, original_topic, partition, key, event, attempts, error, fingerprint, first_seen, last_seen, status)
        VALUES ('shop', gen_random_uuid(), 'shop.dlq', 'counter.made', 0, 'k', '{}', 4, 'broken', 'f', now(), now(), 'open')`,
    );
    await assert.rejects(run(INLINE), /1 messages of shop wait/);
    await pool.transaction(async (sql) => {
      await sql.query(`SELECT pg_advisory_xact_lock(hashtextextended('caudal.rebuild shop.counters', 0))`);
      await assert.rejects(run(FOLLOWED), /counters is being rebuilt already/);
    });
  });

  test('leaves the old table alone when it is stopped half-way, and can be run again', async () => {
    await startFollower();
    await makeCounters(5);
    await raise(20);
    await caughtUp();
    const stop = () => {
      throw new Error('stopped by the test');
    };
    const attempt = rebuild(FOLLOWED, { pool, topologies: [TOPOLOGY] }, { replace: false, onProgress: stop });
    await assert.rejects(attempt, /stopped by the test/);
    await pool.query('CREATE TABLE shop.counters_rebuilt (left_by_a_killed_one integer)');
    assert.equal((await run(FOLLOWED)).swapped, true);
  });

  test('is checked in one snapshot while it is written, and rows that were changed are named', async () => {
    await startFollower();
    await makeCounters(5);
    const load = raise(100);
    const check = (model: ReadModel) => checkReadModel(model, { pool, topologies: [TOPOLOGY] }, () => undefined);
    const whole = { different: 0, examples: [] };
    assert.partialDeepStrictEqual([await check(FOLLOWED), await check(INLINE)], [whole, whole]);
    await load;
    await caughtUp();
    await pool.query('UPDATE shop.counters SET name = $2 WHERE id = $1', [counters[2]!.id, 'another']);
    assert.deepEqual(await check(FOLLOWED), { rows: 5, different: 1, examples: [counters[2]!.id] });
  });
});
