import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { addUp, readBankLines, realBankFile } from '../support/bank-file.ts';
import { assertLedgerBalanced } from '../support/money.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { type Run, runProgram } from '../support/program.ts';
import { until } from '../support/until.ts';

const PROGRAM = join(import.meta.dirname, '../../src/cli/main.ts');
const file = realBankFile();
const absent = file === undefined ? 'the real bank file is not here: name it by CAUDAL_BANK_FILE' : false;

describe('importing the real file of a bank', { skip: absent }, () => {
  test('killed half-way and run again, it ends at the exact sums, and again changes nothing', async () => {
    const platform = await startPlatform();
    const lines = readBankLines(file!);
    const expected = addUp(lines, 10_000_000);
    await killHalfWay(platform, lines.length / 2);

    const outcome = await importFile(platform);
    assert.deepEqual([outcome.accounts, outcome.credits + outcome.debits], [577, 23_112]);
    assert.ok(outcome.replayed >= lines.length / 2 && outcome.replayed < lines.length, String(outcome.replayed));
    assert.deepEqual([outcome.refused, outcome.inexact], [[], []]);
    assert.ok(Number(outcome.furthest_from_bank.difference) <= 1, outcome.furthest_from_bank.difference);
    assert.deepEqual(await balances(platform), expected.balances);
    for (const [account, balance] of expected.balances) {
      assert.ok(Math.abs(balance - expected.bankBalances.get(account)!) <= 100, account);
    }

    const again = await importFile(platform);
    assert.deepEqual([again.replayed, again.wallets_opened], [lines.length, 0]);
    assert.deepEqual(await balances(platform), expected.balances);
    await compareWithPast(platform, expected.days);
    await assertLedgerBalanced(platform.api);
  });

  test('without overdraft it refuses exactly the debits that would go below zero', async () => {
    const platform = await startPlatform();
    const expected = addUp(readBankLines(file!), 0);
    assert.ok(expected.refused.length > 0);
    const outcome = await importFile(platform, '--overdraft', '0');
    assert.deepEqual(
      outcome.refused.map(({ transaction }: { transaction: string }) => transaction),
      expected.refused,
    );
    assert.deepEqual(outcome.inexact, []);
    assert.deepEqual(await balances(platform), expected.balances);
    await assertLedgerBalanced(platform.api);
  });
});

async function importFile(platform: Platform, ...options: readonly string[]) {
  const env = { CAUDAL_URL: platform.api.url };
  const { code, stdout, stderr }: Run = await runProgram(['import', 'bank', file!, '--json', ...options], env);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

async function killHalfWay(platform: Platform, movements: number): Promise<void> {
  const env = { PATH: process.env.PATH ?? '', CAUDAL_URL: platform.api.url };
  const child = spawn(process.execPath, [PROGRAM, 'import', 'bank', file!], { env, stdio: 'ignore' });
  const ended = once(child, 'exit');
  await until('half of the movements are made', async () => {
    const rows = await platform.query<{ made: number }>(
      'SELECT sum(movements)::int AS made FROM wallets.wallet_balances',
    );
    return (rows[0]!.made ?? 0) >= movements;
  });
  child.kill('SIGKILL');
  assert.deepEqual(await ended, [null, 'SIGKILL']);
}

/** Account → balance in minor units, as clients see them. */
async function balances({ api }: Platform): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  let cursor: string | null = '';
  while (cursor !== null) {
    const { body } = await api.get(`/wallets?limit=1000${cursor && `&cursor=${cursor}`}`);
    for (const { user_id, balance_minor } of body.data) found.set(user_id, balance_minor);
    cursor = body.next_cursor;
  }
  return new Map([...found].sort());
}

/** The balance at the end of each day, from the API, of some accounts; and their statements, line by line. */
async function compareWithPast(
  { api }: Platform,
  days: ReadonlyMap<string, ReadonlyMap<string, number>>,
): Promise<void> {
  for (const [account, byDay] of [...days].filter((_, i) => i % 97 === 0)) {
    for (const [day, balance] of byDay) {
      const { body } = await api.get(`/wallets/${account}/balance?as_of=${day}`);
      assert.equal(body.balance_minor, balance, `${account} on ${day}`);
    }
    const { body } = await api.get(`/wallets/${account}/transactions?limit=1000`);
    const lastOfDay = new Map<string, number>();
    for (const line of body.data.toReversed()) lastOfDay.set(line.effective_at.slice(0, 10), line.new_balance_minor);
    assert.deepEqual(lastOfDay, byDay, account);
  }
}
