import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { NewEvent } from '#kernel/core/decider.ts';
import type { Page } from '#kernel/core/page.ts';
import { migrate } from '#kernel/postgres/migrator.ts';
import { WALLET, walletIdOf } from '#services/wallets/contract.ts';
import { createWalletDecider, DEFAULT_WALLET_SETTINGS, type WalletCommand } from '#services/wallets/decider.ts';
import { ledgerAccounts, walletBalances } from '#services/wallets/projections.ts';
import {
  balanceAsOf,
  findWallet,
  listLedgerAccounts,
  listWallets,
  loadWallets,
  statement,
  trialBalance,
} from '#services/wallets/queries.ts';
import { openPostgres } from '../support/backends.ts';
import { NOW } from '../support/given.ts';
import { recorded } from '../support/recorded.ts';
import { rowsOf, sumsOf } from '../support/rows.ts';

const MIGRATIONS = join(import.meta.dirname, '../../src/services/wallets/migrations');
const DAY = 86_400_000;
const MAX = Number.MAX_SAFE_INTEGER;
const decider = createWalletDecider(DEFAULT_WALLET_SETTINGS);

/** What happened in the wallet of a user to whom these amounts were given, or from whom they were taken, day after day. */
function walletOf(userId: string, currency: string, amounts: readonly number[]) {
  const owner = { walletId: walletIdOf(userId), userId };
  const commands: WalletCommand[] = [{ type: 'OpenWallet', ...owner, currency, overdraftLimitMinor: 0 }];
  for (const [day, amount] of amounts.entries()) {
    const type = amount < 0 ? 'Debit' : 'Credit';
    commands.push({ type, amountMinor: Math.abs(amount), reason: 'import', effectiveAt: NOW + day * DAY });
  }
  const events: NewEvent[] = [];
  let state = decider.initial;
  for (const command of commands) {
    const result = decider.decide(command, state, { now: NOW });
    assert.ok(result.ok);
    for (const event of result.value) {
      events.push(event);
      state = decider.evolve(state, event);
    }
  }
  return recorded(WALLET, owner.walletId, events);
}

const WALLETS = [
  walletOf('ann', 'USD', [10_000, -2_500, 300]),
  walletOf('bob', 'JPY', [7_500]),
  walletOf('cid', 'KWD', [75_000]),
  walletOf('dan', 'EUR', [MAX]),
  walletOf('eve', 'EUR', [MAX]),
  walletOf('fay', 'EUR', [MAX]),
];

/** A database with these wallets: two writers have written them, one after the other. */
async function openWallets(t: TestContext) {
  const { pool, store } = await openPostgres(t);
  await migrate(pool, [{ scope: 'wallets', directory: MIGRATIONS }]);
  for (const [i, half] of [WALLETS.slice(0, 3), WALLETS.slice(3)].entries()) {
    const writer = await store.openWriter(`test ${i}`);
    t.after(() => writer.close());
    for (const stream of half) {
      const id = stream[0]?.aggregateId ?? '';
      await writer.commit({
        appends: [{ stream: { type: WALLET, id }, expectedPosition: 0, events: stream }],
        rows: [rowsOf(walletBalances, stream)],
      });
      for (const event of stream) await writer.commit({ appends: [], sums: [sumsOf(ledgerAccounts, event)] });
    }
  }
  return { sql: pool, store };
}

const usersOf = (page: Page<{ user_id: string }>) => page.data.map(({ user_id }) => user_id).sort();

test('wallets and the ledger are found as they were written', async (t) => {
  const { sql, store } = await openWallets(t);
  const wallets = { get: async (id: string) => (await loadWallets(sql, [id]))[0] };

  await t.test('a wallet by its id and by its user', async () => {
    const wallet = await findWallet(wallets, walletIdOf('ann'));
    assert.partialDeepStrictEqual(wallet, { user_id: 'ann', balance_minor: 7_800, movements: 3, version: 4 });
    assert.deepEqual(await findWallet(wallets, 'ann'), wallet);
    assert.equal((await findWallet(wallets, 'dan'))?.balance_minor, MAX);
    assert.equal(await findWallet(wallets, 'nobody'), undefined);
    assert.equal(await findWallet(wallets, walletIdOf('nobody')), undefined);
  });

  await t.test('wallets above a balance in major units of their own currencies', async () => {
    const above = async (minBalance: string) => usersOf(await listWallets(sql, { minBalance, limit: 10 }));
    assert.deepEqual(await above('-1'.padEnd(31, '0')), ['ann', 'bob', 'cid', 'dan', 'eve', 'fay']);
    assert.deepEqual(await above('74.9999'), ['ann', 'bob', 'cid', 'dan', 'eve', 'fay']);
    assert.deepEqual(await above('75.0001'), ['ann', 'bob', 'dan', 'eve', 'fay']);
    assert.deepEqual(await above('0'), ['ann', 'bob', 'cid', 'dan', 'eve', 'fay']);
    assert.deepEqual(await above('75.01'), ['ann', 'bob', 'dan', 'eve', 'fay']);
    assert.deepEqual(await above('78'), ['ann', 'bob', 'dan', 'eve', 'fay']);
    assert.deepEqual(await above('78.01'), ['bob', 'dan', 'eve', 'fay']);
    assert.deepEqual(await above('7500'), ['bob', 'dan', 'eve', 'fay']);
    assert.deepEqual(await above('90071992547409.91'), ['dan', 'eve', 'fay']);
    assert.deepEqual(await above('90071992547409.92'), []);
    assert.deepEqual(await above('1'.padEnd(31, '0')), []);
    assert.deepEqual(usersOf(await listWallets(sql, { userId: 'bob', limit: 10 })), ['bob']);
  });

  await t.test('wallets by pages', async () => {
    const seen: string[] = [];
    let cursor: string | null | undefined;
    while (cursor !== null) {
      const page: Page<{ user_id: string }> = await listWallets(sql, { limit: 4, ...(cursor && { cursor }) });
      seen.push(...usersOf(page));
      cursor = page.nextCursor;
    }
    assert.deepEqual(seen.sort(), ['ann', 'bob', 'cid', 'dan', 'eve', 'fay']);
  });

  await t.test('the accounts of the ledger, of all writers, also past 2^53', async () => {
    const all = await listLedgerAccounts(sql, { limit: 100 });
    const found = new Map(
      all.data.map(({ account, currency, balanceMinor }) => [`${account} ${currency}`, balanceMinor]),
    );
    assert.equal(found.size, 10);
    assert.equal(found.get('world EUR'), -3n * BigInt(MAX));
    assert.equal(found.get('world USD'), -7_800n);
    assert.equal(found.get(`wallet:${walletIdOf('ann')} USD`), 7_800n);
    const paged: string[] = [];
    let cursor: string | null | undefined;
    while (cursor !== null) {
      const page: Awaited<typeof all> = await listLedgerAccounts(sql, { limit: 3, ...(cursor && { cursor }) });
      paged.push(...page.data.map(({ account, currency }) => `${account} ${currency}`));
      cursor = page.nextCursor;
    }
    assert.deepEqual(paged, [...found.keys()]);
  });

  await t.test('the trial balance is zero, and shows what is not', async () => {
    const balanced = await trialBalance(sql);
    assert.deepEqual(
      balanced.map(({ currency, differenceMinor }) => [currency, differenceMinor]),
      [
        ['EUR', 0n],
        ['JPY', 0n],
        ['KWD', 0n],
        ['USD', 0n],
      ],
    );
    assert.equal(balanced[0]?.debitMinor, 3n * BigInt(MAX));
    await sql.query('UPDATE wallets.wallet_balances SET balance_minor = balance_minor + 1 WHERE wallet_id = $1', [
      walletIdOf('bob'),
    ]);
    assert.equal((await trialBalance(sql))[1]?.differenceMinor, 1n);
  });

  await t.test('the past of a wallet', async () => {
    const wallet = await findWallet(wallets, 'ann');
    assert.ok(wallet !== undefined);
    const balances = [-1, 0, 1, 2, 3].map((day) => balanceAsOf(store, wallet, NOW + day * DAY));
    assert.deepEqual(await Promise.all(balances), [0, 10_000, 7_500, 7_800, 7_800]);
    const page = await statement(store, wallet, { limit: 2 });
    assert.deepEqual(
      page.data.map(({ kind, amountMinor, newBalanceMinor }) => [kind, amountMinor, newBalanceMinor]),
      [
        ['credit', 300, 7_800],
        ['debit', 2_500, 7_500],
      ],
    );
    const rest = await statement(store, wallet, { limit: 2, cursor: Number(page.nextCursor) });
    assert.deepEqual([rest.data.length, rest.nextCursor], [1, null]);
  });
});
