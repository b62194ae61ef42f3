import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { commandAs, serverAccount } from './run-as.ts';

const ORDINARY = { uid: 54_321, gid: 54_321 };
const isRoot = process.getuid?.() === 0;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'caudal-run-as-'));
});

afterEach(() => rm(folder, { recursive: true }));

test('a command runs as it is when there is no account to change to', () => {
  assert.deepEqual(commandAs(undefined, [folder], ['postgres', '-D', 'x y']), ['postgres', ['-D', 'x y']]);
});

if (!isRoot) {
  test('an ordinary user runs the server as himself', () => {
    assert.equal(serverAccount(folder), undefined);
  });
} else {
  test('root runs the server as an account without rights, on a folder that is to be made', () => {
    assert.notEqual(serverAccount(join(folder, 'none'))?.uid, 0);
  });

  test('root runs the server as the owner of the data folder, who may start it himself next time', async () => {
    await chown(folder, ORDINARY.uid, ORDINARY.gid);
    assert.deepEqual(serverAccount(folder), ORDINARY);
  });

  test('the command has no more rights than the account where every folder is open to it', async () => {
    await chmod(folder, 0o755);
    const status = run([join(folder, 'x')], ['cat', '/proc/self/status']);
    assert.match(status, /^Uid:\t54321\t54321/m);
    assert.match(status, /^CapEff:\t0+$/m);
  });

  test('the command reaches its files in a closed folder, can run them, and may not write there', async () => {
    const closed = join(folder, 'closed');
    const program = join(closed, 'program');
    await mkdir(closed, { mode: 0o700 });
    await writeFile(program, '#!/bin/sh\necho it runs\n', { mode: 0o755 });
    assert.equal(run([program], ['sh', '-c', `test -x '${program}' && '${program}'`]), 'it runs\n');
    assert.throws(() => run([program], ['touch', join(closed, 'new')]), /Permission denied/);
  });
}

function run(paths: string[], command: string[]): string {
  const [program, args] = commandAs(ORDINARY, paths, command);
  return execFileSync(program, args, { encoding: 'utf8', stdio: 'pipe' });
}
