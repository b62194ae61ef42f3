import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { verifyStore } from '#kernel/event-store/postgres/verify.ts';
import type { Store } from '#kernel/event-store/store.ts';
import { newStream, wholeLog } from '../../support/appending.ts';
import { openPostgres } from '../../support/backends.ts';
import { createRandom } from '../../support/random.ts';
import { startTcpProxy } from '../../support/tcp-proxy.ts';
import { startToyProcess } from '../../support/toy-process.ts';
import { additionAsked } from '../../support/toy-service.ts';
import { add, additions, checkReadModels, openToyClient } from '../../support/toy-work.ts';
import { until } from '../../support/until.ts';

/** `TEST_SEED=… npm test -- --only tests/integration/processor/commit-faults.test.ts` sets the same faults again. */
const SEED = Number(process.env.TEST_SEED ?? Date.now() % 1_000_000);
const ROUNDS = Number(process.env.TEST_ROUNDS ?? 25);
const MESSAGES = 24;
const REQUESTS = 30;

/** What a statement in the middle of a commit may be refused with, and what may become of the connection. */
const REFUSALS = ['40001', '57014', '22003', 'P0001', 'CA002', 'CA003', 'CA004'] as const;
const BREAKS = ['cut', 'answers', 'requests', 'killed'] as const;

/** The n-th write of counters from now on is refused; `nextval` counts although it is rolled back. */
const FAULTS = `
  CREATE TABLE fault (code text, n int, delay float);
  INSERT INTO fault VALUES ('', 0, 0);
  CREATE SEQUENCE fault_writes;
  CREATE FUNCTION raise_fault() RETURNS trigger LANGUAGE plpgsql AS $$
  DECLARE f fault;
  BEGIN
    SELECT * INTO f FROM fault;
    PERFORM pg_sleep(f.delay);
    IF f.code <> '' AND nextval('fault_writes') = f.n THEN RAISE EXCEPTION 'says the test' USING ERRCODE = f.code; END IF;
    RETURN NULL;
  END $$;
  CREATE TRIGGER raise_fault BEFORE INSERT ON toy_counters FOR EACH STATEMENT EXECUTE FUNCTION raise_fault()`;

test(`whatever becomes of commits and of those behind them, nothing is lost, doubled or told wrongly; TEST_SEED=${SEED}`, async (t) => {
  const random = createRandom(SEED);
  const backend = await openPostgres(t);
  await backend.pool.query(FAULTS);
  const proxy = await startTcpProxy(t, backend.url);
  const far = backend.storeAt(proxy.url, 'far');
  const dawdle = (): Promise<unknown> => (random.chance(0.5) ? sleep(random.below(25)) : Promise.resolve());
  const store: Store = {
    ...far,
    loadStreams: async (streams) => {
      const loaded = await far.loadStreams(streams);
      await dawdle();
      return loaded;
    },
  };
  const settings = { heartbeatMs: 200, maxCachedStreams: 4, maxCachedRows: 4 };
  const { processor, tail } = await startToyProcess(t, backend, { store, alone: true, settings });
  const client = await openToyClient(t, backend, [{ tail }]);
  const counters = Array.from({ length: 8 }, () => newStream().id);
  const own = Array.from({ length: 5 }, () => newStream().id);
  const told = new Map<string, number>();
  let asked = 0;

  const request = async (number: number): Promise<void> => {
    const id = random.chance(0.3) ? newStream().id : random.pick([...own, ...counters]);
    const note = `request ${number}`;
    told.set(note, await add({ processor }, { id, n: 1, note }));
  };

  const breakConnection = async (how: (typeof BREAKS)[number]): Promise<void> => {
    await sleep(random.below(20));
    if (how === 'killed') {
      await backend.pool.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'caudal counters%'",
      );
      return;
    }
    if (how !== 'cut') {
      proxy.swallow(how);
      await sleep(random.below(80));
      proxy.mend();
    }
    proxy.cut();
  };

  for (let round = 0; round < ROUNDS; round++) {
    await until('it is available', () => processor.status().available);
    const refusal = random.chance(0.6) ? random.pick(REFUSALS) : '';
    await backend.pool.query('ALTER SEQUENCE fault_writes RESTART');
    await backend.pool.query('UPDATE fault SET code = $1, n = $2, delay = $3', [
      refusal,
      random.between(1, 4),
      random.chance(0.5) ? 0 : random.below(20) / 1000,
    ]);
    await client.ask(...Array.from({ length: MESSAGES }, () => ({ counter_id: random.pick(counters), n: ++asked })));
    const requests: Promise<void>[] = [];
    for (let i = 0; i < REQUESTS; i++) {
      // One that fails may have taken effect or not: its client is told that it is not known.
      requests.push(request(round * REQUESTS + i).catch(() => undefined));
      if (random.chance(0.2)) await sleep(random.below(5));
    }
    if (refusal === '') await breakConnection(random.pick(BREAKS));
    await Promise.all(requests);
    backend.clock.advance(300);
  }

  await backend.pool.query("UPDATE fault SET code = '', delay = 0");
  const caused = async () =>
    (await additions(backend.store)).filter(({ metadata }) => metadata.causationid !== undefined);
  await until('all messages are handled', async () => {
    backend.clock.advance(500);
    return (await caused()).length >= asked;
  });
  const handled = await caused();
  assert.equal(handled.length, asked, 'each message once');
  const messages = (await wholeLog(backend.store)).filter(({ type }) => type === additionAsked.type);
  for (const id of counters) {
    const numbers = (events: typeof handled) =>
      events.filter(({ data }) => data.counter_id === id).map(({ data }) => data.n);
    assert.deepEqual(numbers(handled), numbers(messages), 'in the order in which they were asked');
  }
  const made = await additions(backend.store);
  const noted = made.filter(({ data }) => data.note !== undefined);
  const byNote = new Map(noted.map(({ data }) => [data.note as string, data.total as number]));
  assert.equal(byNote.size, noted.length, 'each request at most once');
  for (const [note, total] of told) assert.equal(byNote.get(note), total, `${note} was answered as it took effect`);
  assert.deepEqual(await verifyStore(backend.pool), []);
  await checkReadModels(backend.store, made);
});
