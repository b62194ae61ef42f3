import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { UnavailableError } from '#kernel/core/errors.ts';
import { createIdSource } from '#kernel/core/ids.ts';
import type { Store, Writer } from '#kernel/event-store/store.ts';
import { startEmbeddedPostgres } from '#kernel/postgres/embedded.ts';
import type { Pool } from '#kernel/postgres/pool.ts';
import { newStream } from '../../support/appending.ts';
import { openPostgres, openPostgresAt } from '../../support/backends.ts';
import { onEnd } from '../../support/cleanup.ts';
import { temporaryDataFolder } from '../../support/data-folder.ts';
import { startTcpProxy } from '../../support/tcp-proxy.ts';
import { startToyProcess, type ToyProcess } from '../../support/toy-process.ts';
import { additions, additionsMade, checkExactlyOnce, openToyClient } from '../../support/toy-work.ts';
import { until } from '../../support/until.ts';

const ids = createIdSource();

/** Asks for additions to counters of their own, one after another, until told to stop. @returns those acknowledged */
async function keepAsking(toy: ToyProcess, going: () => boolean): Promise<readonly string[]> {
  const acknowledged: string[] = [];
  while (going()) {
    const id = newStream().id;
    try {
      await toy.processor.execute({
        commands: [{ aggregate: 'counter', id, command: { id, n: 1 }, fresh: true }],
        traceId: ids.traceId(),
        answer: () => null,
      });
      acknowledged.push(id);
    } catch (cause) {
      assert.ok(cause instanceof UnavailableError, String(cause));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  return acknowledged;
}

/** The store, and how many commits of its writers wait for their answer. */
function countCommits(store: Store): { readonly store: Store; underWay(): number } {
  let underWay = 0;
  const openWriter = async (name: string): Promise<Writer> => {
    const writer = await store.openWriter(name);
    const commit: Writer['commit'] = async (batch) => {
      underWay += 1;
      return writer.commit(batch).finally(() => {
        underWay -= 1;
      });
    };
    return { ...writer, commit };
  };
  return { store: { ...store, openWriter }, underWay: () => underWay };
}

/** True when the one member of the group has saved that it has handled the whole log: then it is idle. */
async function progressIsSaved(pool: Pool): Promise<boolean> {
  const rows = await pool.query<{ saved: boolean }>(
    `SELECT progress -> 'cursor' = (SELECT jsonb_object_agg(chain, position) FROM event_chains) AS saved FROM bus_members`,
  );
  return rows[0]!.saved;
}

test('PostgreSQL killed under load, three times: nothing acknowledged is lost, nothing is done twice', async (t) => {
  const dataDir = join(await temporaryDataFolder(), 'postgres');
  let restarts = 0;
  const info = (message: string): void => {
    if (/answers again/.test(message)) restarts += 1;
  };
  const log = { info, warn: () => undefined, error: () => undefined };
  const server = await startEmbeddedPostgres({ dataDir, log, sharedBuffers: '32MB' });
  onEnd(t, () => server.stop());
  const backend = await openPostgresAt(t, server.url);
  const toys = [await startToyProcess(t, backend), await startToyProcess(t, backend)];
  const client = await openToyClient(t, backend, toys);
  let going = true;
  onEnd(t, () => {
    going = false;
  });
  const asking = Promise.all(toys.flatMap((toy) => [1, 2, 3].map(() => keepAsking(toy, () => going))));

  for (let kill = 0; kill < 3; kill++) {
    const wave = Array.from({ length: 40 }, (_, i) => ({ counter_id: newStream().id, n: kill * 100 + i + 1 }));
    await client.ask(...wave);
    const [pid] = (await readFile(join(dataDir, 'postmaster.pid'), 'utf8')).split('\n');
    process.kill(Number(pid), 'SIGKILL');
    await until('it is noticed', () => toys.some((toy) => !toy.processor.status().available));
    await until('it runs again', () => restarts === kill + 1);
    await until('all go on', () => toys.every((toy) => toy.processor.status().available));
  }
  going = false;
  const acknowledged = (await asking).flat();
  await until('all messages are handled', async () => {
    const made = await additions(backend.store);
    return made.filter((event) => event.metadata.causationid !== undefined).length === 120;
  });
  const made = await additions(backend.store);
  const perCounter = new Map<string, number>();
  for (const { data } of made) perCounter.set(data.counter_id, (perCounter.get(data.counter_id) ?? 0) + 1);
  assert.ok([...perCounter.values()].every((count) => count === 1));
  assert.ok(acknowledged.length > 0);
  for (const id of acknowledged) assert.equal(perCounter.get(id), 1);
});

test('an answer cut between commit and caller is found: the request succeeds, once', async (t) => {
  const backend = await openPostgres(t);
  const proxy = await startTcpProxy(t, backend.url);
  const { store, underWay } = countCommits(backend.storeAt(proxy.url, 'far'));
  const toy = await startToyProcess(t, backend, { store });
  const client = await openToyClient(t, backend, [toy]);
  await client.ask({ counter_id: newStream().id, n: 1 });
  await additionsMade(backend.store, 1);
  await until('all progress is saved', async () => (await progressIsSaved(backend.pool)) && underWay() === 0);

  proxy.swallow('answers');
  const id = newStream().id;
  const asking = toy.processor.execute({
    commands: [{ aggregate: 'counter', id, command: { id, n: 5 }, fresh: true }],
    traceId: ids.traceId(),
    answer: ([result]) => (result!.ok ? result!.value.state.total : undefined),
  });
  await additionsMade(backend.store, 2);
  proxy.mend();
  proxy.cut();
  assert.equal((await asking).answer, 5);
  await client.ask({ counter_id: newStream().id, n: 2 });
  await additionsMade(backend.store, 3);
  assert.equal((await additions(backend.store)).filter(({ data }) => data.counter_id === id).length, 1);
});

test('messages whose commit was cut at any point are handled once', async (t) => {
  const backend = await openPostgres(t);
  const proxy = await startTcpProxy(t, backend.url);
  const toy = await startToyProcess(t, backend, { store: backend.storeAt(proxy.url, 'far') });
  const client = await openToyClient(t, backend, [toy]);
  for (let cut = 0; cut < 12; cut++) {
    await client.ask(...Array.from({ length: 10 }, (_, i) => ({ counter_id: newStream().id, n: i + 1 })));
    if (cut % 3 === 1) proxy.swallow('answers');
    if (cut % 3 === 2) proxy.swallow('requests');
    await new Promise((resolve) => setTimeout(resolve, cut * 3));
    proxy.mend();
    proxy.cut();
  }
  await additionsMade(backend.store, 120);
  await checkExactlyOnce(backend.store);
});
