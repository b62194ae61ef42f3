import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { runningPostmaster, wasKilled } from './postmaster.ts';

const NO_PROCESS = 2 ** 30;

let folder: string;
let child: ChildProcess | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'caudal-postmaster-'));
});

afterEach(async () => {
  if (child !== undefined) {
    child.kill('SIGKILL');
    await once(child, 'exit');
    child = undefined;
  }
  await rm(folder, { recursive: true });
});

function writePidFile(pid: number | string): Promise<void> {
  return writeFile(join(folder, 'postmaster.pid'), `${pid}\n${folder}\n1795000000\n5433\n`);
}

test('without a postmaster.pid no server runs, and none was killed', async () => {
  assert.equal(await runningPostmaster(folder), undefined);
  assert.equal(await wasKilled(folder), false);
});

test('a server that is gone was killed', async () => {
  await writePidFile(NO_PROCESS);
  assert.equal(await runningPostmaster(folder), undefined);
  assert.equal(await wasKilled(folder), true);
});

test('a file that names another program is removed, since PostgreSQL would not start', async () => {
  child = spawn('sleep', ['1000']);
  await once(child, 'spawn');
  await writePidFile(child.pid as number);
  assert.equal(await runningPostmaster(folder), undefined);
  assert.deepEqual(await readdir(folder), []);
});

test('a file that a server was killed in the middle of writing is removed', async () => {
  await writePidFile('');
  assert.equal(await runningPostmaster(folder), undefined);
  assert.deepEqual(await readdir(folder), []);
});

if (process.platform === 'linux') {
  test('a server that is just dying was killed: its file stays', async () => {
    // The child ends once another program has taken the shell's place, one that never asks about it: a zombie.
    child = spawn('sh', ['-c', 'until grep -q sleep /proc/$$/comm; do sleep 0.01; done & echo $!; exec sleep 1000']);
    assert.ok(child.stdout);
    const [zombie] = await once(createInterface(child.stdout), 'line');
    while (!/\) Z /.test(await readFile(`/proc/${zombie}/stat`, 'utf8'))) await sleep(10);
    await writePidFile(zombie);
    assert.equal(await runningPostmaster(folder), undefined);
    assert.equal(await wasKilled(folder), true);
  });
}
