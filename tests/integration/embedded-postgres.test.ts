import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '#kernel/postgres/embedded.ts';
import { temporaryDataFolder } from '../support/data-folder.ts';

const OWNER = join(import.meta.dirname, '..', 'support', 'embedded-owner.ts');

describe('the embedded PostgreSQL', () => {
  let folder: string;
  let servers: EmbeddedPostgres[];
  let owners: ChildProcess[];
  let messages: string[];

  beforeEach(async () => {
    folder = await temporaryDataFolder();
    servers = [];
    owners = [];
    messages = [];
  });

  afterEach(async () => {
    for (const owner of owners) {
      if (owner.exitCode !== null || owner.signalCode !== null) continue;
      owner.stdin?.end();
      await once(owner, 'exit');
    }
    for (const server of servers) await server.stop();
    await rm(folder, { recursive: true });
  });

  async function start(data = folder): Promise<EmbeddedPostgres> {
    const keep = (message: string) => void messages.push(message);
    const log = { info: keep, warn: keep, error: keep };
    const server = await startEmbeddedPostgres({ dataDir: join(data, 'postgres'), log, sharedBuffers: '64MB' });
    servers.push(server);
    return server;
  }

  function spawnOwner(): ChildProcess {
    const owner = spawn(process.execPath, [OWNER, folder], { stdio: ['pipe', 'pipe', 'inherit'] });
    owners.push(owner);
    return owner;
  }

  async function startInOwner(): Promise<{ owner: ChildProcess; url: string; port: number; startedByUs: boolean }> {
    const owner = spawnOwner();
    assert.ok(owner.stdout);
    const failed = once(owner, 'exit').then(([code]) => assert.fail(`the owner ended with code ${code}`));
    const [line] = await Promise.race([once(createInterface(owner.stdout), 'line'), failed]);
    return { owner, ...JSON.parse(line) };
  }

  async function kill(owner: ChildProcess): Promise<void> {
    owner.kill('SIGKILL');
    await once(owner, 'exit');
  }

  async function postmasterPid(): Promise<number> {
    return Number.parseInt(await readFile(join(folder, 'postgres', 'postmaster.pid'), 'utf8'), 10);
  }

  test('is made at the first start, with durable settings, and asks for a password', async () => {
    const server = await start();
    const settings = await query(
      server.url,
      `SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit,
              current_setting('full_page_writes') AS pages, current_setting('data_checksums') AS checksums,
              current_setting('server_encoding') AS encoding, current_setting('listen_addresses') AS address`,
    );
    const on = { fsync: 'on', commit: 'on', pages: 'on', checksums: 'on' };
    assert.deepEqual(settings, [{ ...on, encoding: 'UTF8', address: '127.0.0.1' }]);
    assert.equal(server.startedByUs, true);
    assert.equal((await stat(join(folder, 'postgres.password'))).mode & 0o777, 0o600);
    const withoutPassword = Object.assign(new URL(server.url), { password: 'wrong' }).href;
    await assert.rejects(query(withoutPassword, 'SELECT 1'), { code: '28P01' });
  });

  test('keeps its data and its port from one start to the next', async () => {
    const first = await start();
    await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    await first.stop();
    const second = await start();
    assert.deepEqual(await query(second.url, 'SELECT answer FROM kept'), [{ answer: 42 }]);
    assert.equal(second.startedByUs, true);
    assert.equal(second.url, first.url);
  });

  test('takes another port when its own was taken meanwhile', async () => {
    const first = await start();
    await first.stop();
    const squatter = createServer().listen(first.port, '127.0.0.1');
    await once(squatter, 'listening');
    const second = await start();
    squatter.close();
    assert.notEqual(second.port, first.port);
    assert.deepEqual(await query(second.url, 'SELECT 1 AS one'), [{ one: 1 }]);
  });

  test('survives the kill of its owner, and is adopted by the next', async () => {
    const { owner, url } = await startInOwner();
    await query(url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    const pid = await postmasterPid();
    await kill(owner);
    const adopted = await start();
    assert.equal(adopted.startedByUs, false);
    assert.equal(await postmasterPid(), pid);
    assert.deepEqual(await query(adopted.url, 'SELECT answer FROM kept'), [{ answer: 42 }]);
    await adopted.stop();
    assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
  });

  test('is started again by its owner when it is killed itself', async () => {
    const server = await start();
    await query(server.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    process.kill(await postmasterPid(), 'SIGKILL');
    await until(() => messages.includes(`PostgreSQL answers again on port ${server.port}`));
    assert.deepEqual(await query(server.url, 'SELECT answer FROM kept'), [{ answer: 42 }]);
  });

  test('starts on what a kill of both left, which looks like a running server', async () => {
    const { owner, url } = await startInOwner();
    await query(url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    const pid = await postmasterPid();
    await kill(owner);
    process.kill(pid, 'SIGKILL');
    const server = await start();
    assert.equal(server.startedByUs, true);
    assert.deepEqual(await query(server.url, 'SELECT answer FROM kept'), [{ answer: 42 }]);
  });

  test('starts when the process id of a killed server belongs to another program by now', async () => {
    const first = await start();
    const stale = await readFile(join(folder, 'postgres', 'postmaster.pid'), 'utf8');
    const pid = await postmasterPid();
    await first.stop();
    await writeFile(join(folder, 'postgres', 'postmaster.pid'), stale.replace(String(pid), String(process.pid)));
    const second = await start();
    assert.equal(second.startedByUs, true);
    assert.deepEqual(await query(second.url, 'SELECT 1 AS one'), [{ one: 1 }]);
  });

  test('is left alone when somebody stopped it in good order', async () => {
    const server = await start();
    const pid = await postmasterPid();
    process.kill(pid, 'SIGINT');
    await until(() =>
      messages.some((message) => message.startsWith('The connection to the embedded PostgreSQL was lost')),
    );
    await until(async () => !(await readdir(join(folder, 'postgres'))).includes('postmaster.pid'));
    const { startedByUs } = await startInOwner();
    assert.equal(startedByUs, true);
    await until(() => messages.includes(`PostgreSQL answers again on port ${server.port}`));
  });

  test('is made anew when its making was interrupted', async () => {
    const isDraft = (name: string) => name.startsWith('postgres.initdb-');
    await mkdir(join(folder, 'postgres.initdb-1', 'data'), { recursive: true });
    await writeFile(join(folder, 'postgres.initdb-1', 'data', 'PG_VERSION'), '18\n');
    const owner = spawnOwner();
    await until(async () => (await readdir(folder)).some((name) => isDraft(name) && !name.endsWith('-1')));
    await kill(owner);
    const server = await start();
    assert.deepEqual(await query(server.url, 'SELECT 1 AS one'), [{ one: 1 }]);
    assert.deepEqual((await readdir(folder)).filter(isDraft), []);
  });

  test('is started once by processes that start at the same time, and stopped by the last', async () => {
    const started = await Promise.all([startInOwner(), startInOwner(), startInOwner()]);
    assert.equal(started.filter(({ startedByUs }) => startedByUs).length, 1);
    assert.equal(new Set(started.map(({ url }) => url)).size, 1);
    const pid = await postmasterPid();
    const [first, second, third] = started.map(({ owner }) => owner);
    for (const owner of [first, second]) {
      owner?.stdin?.end();
      await once(owner as ChildProcess, 'exit');
    }
    process.kill(pid, 0);
    third?.stdin?.end();
    await once(third as ChildProcess, 'exit');
    assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
  });

  test('runs in a folder with spaces, quotes and letters of any language', async () => {
    const data = join(folder, `a b 'c" ñ`);
    const server = await start(data);
    assert.deepEqual(await query(server.url, 'SELECT 1 AS one'), [{ one: 1 }]);
    assert.ok((await readdir(data)).includes('postgres.log'));
  });

  if (process.getuid?.() === 0) {
    test('runs, as root, in a folder that is closed to everybody else', async () => {
      await chmod(folder, 0o700);
      const server = await start();
      const status = await readFile(`/proc/${await postmasterPid()}/status`, 'utf8');
      assert.doesNotMatch(status, /^Uid:\t0\t/m);
      assert.deepEqual(await query(server.url, 'SELECT 1 AS one'), [{ one: 1 }]);
    });
  }

  test('refuses a data folder of a newer PostgreSQL, in one line that says what to do', async () => {
    await mkdir(join(folder, 'postgres'));
    await writeFile(join(folder, 'postgres', 'PG_VERSION'), '99\n');
    await writeFile(join(folder, 'postgres.password'), 'x');
    await assert.rejects(
      start(),
      /was made by PostgreSQL 99, and this version of Caudal brings 18: use a newer Caudal/,
    );
  });

  test('refuses a folder that holds something else', async () => {
    await mkdir(join(folder, 'postgres'));
    await writeFile(join(folder, 'postgres', 'thesis.txt'), 'x');
    await assert.rejects(start(), /holds files that are not PostgreSQL's/);
  });

  test("gives PostgreSQL's own reason when the server does not start", async () => {
    const server = await start();
    await server.stop();
    await rm(join(folder, 'postgres', 'global', 'pg_control'));
    await assert.rejects(start(), /PostgreSQL did not start: .*pg_control/);
  });
});

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

/** Waits for a condition; the runner's time limit ends a test in which it never comes true. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(20);
}
