import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { loadExchangeRates } from '#src/composition/rates.ts';
import { type InjectedApi, startInjectedApi } from '../../support/injected-api.ts';

const RATES = { base: 'EUR', as_of: '2026-01-02', rates: { USD: '1.25', JPY: '150' } };

describe('GET /rates', () => {
  let folder: string;
  let api: InjectedApi;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'caudal-test-'));
    await writeFile(join(folder, 'rates.json'), JSON.stringify(RATES));
    api = await startInjectedApi({ ratesFile: join(folder, 'rates.json') });
  });
  after(async () => {
    await api.close();
    await rm(folder, { recursive: true });
  });

  test('shows what the file says, to be kept for five minutes', async () => {
    const { status, body, headers } = await api.get('/api/v1/rates');
    assert.equal(status, 200);
    assert.deepEqual(body, RATES);
    assert.equal(headers['cache-control'], 'public, max-age=300');
  });

  test('without a file there are none', async () => {
    assert.deepEqual(await loadExchangeRates(undefined), { base: null, as_of: null, rates: {} });
  });

  for (const [what, content, complaint] of [
    ['is no JSON', '{', /see RATES_FILE/],
    ['has a rate that is no number', '{"base":"EUR","as_of":"2026-01-02","rates":{"USD":"much"}}', /\/rates\/USD/],
    ['has an unknown currency', '{"base":"EUR","as_of":"2026-01-02","rates":{"XXQ":"1"}}', /XXQ is not a currency/],
  ] as const) {
    test(`a file that ${what} is refused in one line that names the setting`, async () => {
      const path = join(folder, 'broken.json');
      await writeFile(path, content);
      await assert.rejects(loadExchangeRates(path), complaint);
    });
  }
});
