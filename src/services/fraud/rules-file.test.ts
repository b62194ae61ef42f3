import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadRules, watchRules } from './rules-file.ts';

const folder = await mkdtemp(join(tmpdir(), 'caudal-rules-'));
after(() => rm(folder, { recursive: true }));

function rules(...names: readonly string[]): string {
  return JSON.stringify({ rules: names.map((name) => ({ name, score: 10, when: { method_in: ['wallet'] } })) });
}

/** A log that can be asked for its lines. */
function memoryLog() {
  const lines: string[] = [];
  const add = (level: string) => (message: string) => void lines.push(`${level}: ${message}`);
  return { lines, info: add('info'), error: add('error') };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5);
}

test('rules are read again when the file changes, and broken ones are refused', async () => {
  const path = join(folder, 'watched.json');
  await writeFile(path, rules('one'));
  const log = memoryLog();
  const watched = await watchRules(path, 5, log);
  try {
    const names = () => watched.current().rules.map(({ name }) => name);
    assert.deepEqual(names(), ['one']);

    await writeFile(`${path}.new`, rules('one', 'two'));
    await rename(`${path}.new`, path);
    await until(() => log.lines.length === 1);
    assert.deepEqual(names(), ['one', 'two']);

    await writeFile(`${path}.new`, '{"rules": [{"name": "three"}]}');
    await rename(`${path}.new`, path);
    await until(() => log.lines.length === 2);
    assert.deepEqual(names(), ['one', 'two']);
    assert.match(log.lines[1] ?? '', /^error: .*watched\.json.*\/rules\/0\/when.*stay in force/);

    await rm(path);
    await until(() => log.lines.length === 3);
    assert.match(log.lines[2] ?? '', /^error: .*ENOENT.*stay in force/);

    await writeFile(`${path}.new`, rules('four'));
    await rename(`${path}.new`, path);
    await until(() => log.lines.length === 4);
    assert.deepEqual(names(), ['four']);
  } finally {
    watched.stop();
  }
});

test('a file that is missing or broken at the start is an error that names it', async () => {
  await assert.rejects(loadRules(join(folder, 'absent.json')), /absent\.json cannot be used: ENOENT/);
  const broken = join(folder, 'broken.json');
  await writeFile(broken, 'rules!');
  await assert.rejects(watchRules(broken, 5, memoryLog()), /broken\.json cannot be used: the file is not JSON/);
});
