import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { move, walletWith } from '../../support/money.ts';
import { shapeOfTests, startPlatform } from '../../support/platform.ts';
import { until } from '../../support/until.ts';

const platform = await startPlatform();
const ROUNDS = 20;

type Server = Awaited<ReturnType<typeof platform.startServer>>;

/** A product on sale, a wallet, and what is read of them by a server. */
async function openShop() {
  const sku = `CUP-${randomUUID().slice(0, 8)}`;
  const details = { name: 'Tea cup', currency: 'USD' };
  await platform.api.post('/api/v1/products', { sku, ...details, price: 1 });
  await platform.api.post(`/api/v1/inventory/${sku}/adjustments`, { change: 1, reason: 'test' });
  const user = await walletWith(platform.api, '1000.00');
  let [price, units, balance] = [100, 1, 100_000];
  return {
    /** Changes all of it by one server, and looks at it by another as soon as that is answered. */
    check: async (writer: Server, reader: Server): Promise<void> => {
      price += 1;
      const updated = await writer.send('PUT', `/api/v1/products/${sku}`, { ...details, price: price / 100 });
      assert.equal(updated.status, 200, updated.text);
      assert.equal((await reader.get(`/api/v1/products/${sku}`)).body.price_minor, price);
      units += 1;
      const stocked = await writer.post(`/api/v1/inventory/${sku}/adjustments`, { change: 1, reason: 'test' });
      assert.equal(stocked.status, 201, stocked.text);
      assert.equal((await reader.get(`/api/v1/inventory/${sku}`)).body.on_hand, units);
      balance -= 100;
      await move(writer, 'debits', user, '1.00', `debit to ${balance}`);
      assert.equal((await reader.get(`/wallets/${user}`)).body.balance_minor, balance);
      assert.equal((await reader.get(`/wallets/${user}/balance`)).body.balance_minor, balance);
    },
    look: (reader: Server) => reader.get(`/api/v1/products/${sku}`),
  };
}

/** Look-ups of products by their result. */
async function lookUps(server: Server, result: string): Promise<number> {
  const { text } = await server.get('/metrics');
  const found = text.match(
    new RegExp(`^caudal_cache_requests_total\\{cache="products",result="${result}"\\} (\\d+)$`, 'm'),
  );
  return Number(found?.[1] ?? 0);
}

test('what is read is what was acknowledged, by whichever server, also while another one comes and goes', async () => {
  const { api } = platform;
  const shop = await openShop();
  for (let round = 0; round < ROUNDS; round++) await shop.check(api, api);
  const other = await platform.startServer();
  for (let round = 0; round < ROUNDS; round++) {
    await shop.check(api, other);
    await shop.check(other, api);
  }
  await platform.stop(other);
  for (let round = 0; round < ROUNDS; round++) await shop.check(api, api);
});

test('a server that is alone takes it from memory; beside others it does not', async () => {
  const { api } = platform;
  const shop = await openShop();
  const asked = async (result: string): Promise<boolean> => {
    const before = await lookUps(api, result);
    await shop.look(api);
    return (await lookUps(api, result)) > before;
  };
  if (shapeOfTests() === 'one process') {
    await until('it is taken from memory', () => asked('hit'));
    const other = await platform.startServer();
    assert.equal(await asked('bypass'), true);
    await platform.stop(other);
    await until('it is taken from memory again', () => asked('hit'));
  } else assert.equal(await asked('bypass'), true, 'it is made up of several processes');
});
