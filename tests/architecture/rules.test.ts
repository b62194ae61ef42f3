import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { FILE_RULES } from '../../tools/file-rules.mjs';
import { rules } from '../../tools/rules.mjs';
import { plants } from './plants.ts';

const ROOT = join(import.meta.dirname, '..', '..');

describe('the architecture rules', () => {
  let copy: string;
  let report: string;

  before(async () => {
    copy = await copyProject();
    for (const files of Object.values(plants)) {
      for (const [file, content] of Object.entries(files)) await plant(join(copy, file), content);
    }
    report = await checkArchitecture(copy);
  });

  after(() => rm(copy, { recursive: true }));

  test('every rule has a planted violation', () => {
    const names = [...rules.map(({ name }) => name), ...FILE_RULES];
    assert.deepEqual(Object.keys(plants).sort(), names.sort());
  });

  for (const [rule, files] of Object.entries(plants)) {
    test(`${rule} catches its violation`, () => {
      const [culprit] = Object.keys(files);
      const found = report.split('\n').some((line) => line.startsWith(`${rule}: ${culprit}: `));
      assert.ok(found, `"${rule}: ${culprit}" is not in the report:\n${report}`);
    });
  }
});

async function copyProject(): Promise<string> {
  const copy = await realpath(await mkdtemp(join(tmpdir(), 'caudal-architecture-')));
  for (const part of ['src', 'simulator', 'package.json', 'tsconfig.json']) {
    await cp(join(ROOT, part), join(copy, part), { recursive: true });
  }
  await symlink(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

async function plant(path: string, content: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
}

/** The checker's report; it must find violations, and say so by its exit code. */
function checkArchitecture(folder: string): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [join(ROOT, 'tools', 'architecture.mjs'), folder], (error, stdout, stderr) => {
      if (error?.code === 1) resolve(stdout);
      else reject(new Error(`the checker ended with code ${error?.code ?? 0}: ${stderr}`));
    });
  });
}
