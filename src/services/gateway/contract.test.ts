import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { gatewayService } from './index.ts';
import { DEFAULT_GATEWAY_SETTINGS } from './settings.ts';

const FIXTURES = join(import.meta.dirname, 'fixtures');
const { produces } = gatewayService(DEFAULT_GATEWAY_SETTINGS);

test('every event has a fixture of its version, and no fixture is left over', async () => {
  const expected = produces.map(({ type, version }) => `${type}.v${version}.json`);
  assert.deepEqual((await readdir(FIXTURES)).sort(), expected.sort());
});

for (const { type, version, problem } of produces) {
  test(`${type} version ${version} still takes its fixture`, async () => {
    const text = await readFile(join(FIXTURES, `${type}.v${version}.json`), 'utf8');
    assert.equal(problem(JSON.parse(text)), undefined);
  });
}
