import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';

const ROOT = join(import.meta.dirname, '..', '..');
const manifest = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
const KINDS = ['dependencies', 'optionalDependencies', 'devDependencies'];

describe('the dependencies', () => {
  test('are pinned to exact versions', () => {
    for (const kind of KINDS) {
      for (const [name, version] of Object.entries<string>(manifest[kind])) {
        assert.match(version, /^\d+\.\d+\.\d+(-[\w.]+)?$/, name);
      }
    }
  });

  test('are all explained in docs/reference/dependencies.md, and no others', async () => {
    const page = await readFile(join(ROOT, 'docs', 'reference', 'dependencies.md'), 'utf8');
    const explained = [...page.matchAll(/^\| `([^`]+)` \| \S.*\|$/gm)].map(([, name]) => name);
    assert.deepEqual(
      explained,
      KINDS.flatMap((kind) => Object.keys(manifest[kind]).sort()),
    );
  });

  test('of the programs are all imported', async () => {
    const sources = (await Promise.all(['src', 'simulator'].map(sourcesOf))).flat().join('\n');
    const unused = Object.keys(manifest.dependencies).filter((name) => !new RegExp(`from '${name}['/]`).test(sources));
    assert.deepEqual(unused, []);
  });
});

/** The texts of all programs in the folder; tests do not count. */
async function sourcesOf(folder: string): Promise<string[]> {
  const names = await readdir(join(ROOT, folder), { recursive: true });
  const programs = names.filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));
  return Promise.all(programs.map((name) => readFile(join(ROOT, folder, name), 'utf8')));
}
