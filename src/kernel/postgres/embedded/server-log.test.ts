import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { failureReason, logSize, readLog, rotateLog } from './server-log.ts';

const MIB = 1024 * 1024;

let folder: string;
let log: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'caudal-log-'));
  log = join(folder, 'postgres.log');
});

afterEach(() => rm(folder, { recursive: true }));

test('the log is emptied past 16 MiB, and one copy is kept', async () => {
  await writeFile(log, 'x'.repeat(16 * MIB));
  await rotateLog(log);
  assert.deepEqual(await readdir(folder), ['postgres.log']);
  await appendFile(log, 'y');
  await rotateLog(log);
  assert.equal((await stat(`${log}.1`)).size, 16 * MIB + 1);
  assert.equal(await logSize(log), 0);
});

test('what was appended since a start is read, at most the last 64 KiB', async () => {
  await writeFile(log, 'before');
  await appendFile(log, 'after');
  assert.equal(await readLog(log, 6), 'after');
  await appendFile(log, 'z'.repeat(MIB));
  assert.equal((await readLog(log, 6)).length, 64 * 1024);
});

test('the reason for a failure is what the server calls fatal', () => {
  const text = [
    '2026-01-01 10:00:00.000 UTC [12]  LOG:  starting PostgreSQL 18.4',
    '2026-01-01 10:00:00.001 UTC [12]  FATAL:  data directory "/x" has invalid permissions',
    '2026-01-01 10:00:00.002 UTC [12]  LOG:  database system is shut down',
  ].join('\n');
  assert.equal(failureReason(text), 'FATAL:  data directory "/x" has invalid permissions');
});

test('without a fatal line the reason is the last lines, and never empty', () => {
  assert.equal(failureReason('one\n\ntwo\n'), 'one two');
  assert.equal(failureReason(''), 'it wrote nothing to its log');
});
