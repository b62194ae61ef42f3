import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { openFolder } from '../support/data-folder.ts';
import { assertLedgerBalanced, balanceOf } from '../support/money.ts';
import { startPlatform } from '../support/platform.ts';
import { freePort, runProgram } from '../support/program.ts';
import { until } from '../support/until.ts';

// The same port after a restart, so that clients find it again.
const platform = await startPlatform({ PORT: String(await freePort()) });
const { api } = platform;
const env = { CAUDAL_URL: api.url };
const folder = await openFolder();
after(() => rm(folder, { recursive: true }));

const HEADER = 'date,account,transaction,kind,operation,amount,bank_balance';
let files = 0;

/** A file whose accounts and transactions no other test has. @param lines `#` stands for a number of this file's own */
async function bankFile(...lines: readonly string[]): Promise<{ readonly path: string; readonly id: string }> {
  files += 1;
  const path = join(folder, `bank-${files}.csv`);
  await writeFile(path, `${[HEADER, ...lines].join('\n').replaceAll('#', String(files))}\n`);
  return { path, id: String(files) };
}

async function importBank(path: string, ...options: readonly string[]) {
  const { code, stdout, stderr } = await runProgram(['import', 'bank', path, '--json', ...options], env);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

const PLAIN = [
  '1993-01-01,a#,1#1,credit,cash_deposit,900.00,900.00',
  '1993-01-02,b#,1#2,credit,transfer_in,10.50,10.50',
  '1993-01-02,a#,1#3,debit,cash_withdrawal,1000.10,-100.10',
  '1993-01-05,a#,1#4,credit,interest_or_fee,0.05,-100.00',
];

describe('importing the file of a bank', () => {
  test('opens wallets and applies the movements in order, with their dates', async () => {
    const { path, id } = await bankFile(...PLAIN);
    const outcome = await importBank(path);
    assert.deepEqual(outcome, {
      accounts: 2,
      wallets_opened: 2,
      credits: 3,
      debits: 1,
      replayed: 0,
      refused: [],
      inexact: [],
      furthest_from_bank: { account: `a${id}`, balance: '-100.05', bank_balance: '-100.00', difference: '0.05' },
    });
    assert.equal(await balanceOf(api, `a${id}`), -10005);
    const { body } = await api.get(`/wallets/a${id}/balance?as_of=1993-01-01`);
    assert.equal(body.balance_minor, 90000);
    const [last] = (await api.get(`/wallets/a${id}/transactions`)).body.data;
    assert.deepEqual(
      [last.kind, last.amount_minor, last.reason, last.reference, last.effective_at],
      ['credit', 5, 'interest_or_fee', `bank-1${id}4`, '1993-01-05T00:00:00.000Z'],
    );
    await assertLedgerBalanced(api);
  });

  test('changes nothing when it is run again', async () => {
    const { path, id } = await bankFile(...PLAIN);
    await importBank(path);
    const before = (await api.get(`/wallets/a${id}/transactions`)).text;
    const again = await importBank(path);
    assert.deepEqual([again.wallets_opened, again.credits, again.debits, again.replayed], [0, 3, 1, 4]);
    assert.equal((await api.get(`/wallets/a${id}/transactions`)).text, before);
  });

  test('lists exactly the debits that the limit does not cover, and keeps them refused', async () => {
    const { path, id } = await bankFile(...PLAIN, '1993-02-01,a#,1#5,credit,cash_deposit,5000.00,4900.00');
    const refused = [{ line: 4, transaction: `1${id}3`, account: `a${id}`, date: '1993-01-02', amount: '1000.10' }];
    assert.deepEqual((await importBank(path, '--overdraft', '0')).refused, refused);
    // By now the balance would cover it; it was refused then.
    const again = await importBank(path, '--overdraft', '0');
    assert.deepEqual([again.refused, again.replayed], [refused, 5]);
    assert.equal(await balanceOf(api, `a${id}`), 590005);
    const { code, stdout } = await runProgram(['import', 'bank', path, '--overdraft', '0'], env);
    assert.equal(code, 0);
    assert.match(stdout, new RegExp(`^ +4 +1${id}3 +a${id}  1993-01-02  1000\\.10$`, 'm'));
    assert.match(stdout, /^refused +1$/m);
  });

  test('imports nothing of a file with malformed lines, and names them', async () => {
    const wrong = [
      '1993-02-30,c#,2#1,credit,cash_deposit,1.00,1.00',
      '1993-02-01,c#,2#2,gift,cash_deposit,1.00,1.00',
      '1993-02-01,c#,2#3,credit,cash_deposit,1.001,1.00',
      '1993-02-01,c#,2#4,credit,cash_deposit,1.00',
      '1993-02-01,c#,2#5,credit,cash_deposit,-1.00,1.00',
      '1993-02-01,../x,2#6,credit,cash_deposit,1.00,1.00',
      '1993-02-01,c#,2#7,credit,cash_deposit,1.00,one',
    ];
    const { path, id } = await bankFile('1993-01-01,c#,2#0,credit,cash_deposit,1.00,1.00', ...wrong);
    const { code, stdout, stderr } = await runProgram(['import', 'bank', path], env);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /has 7 malformed lines; nothing was imported/);
    const lines = stderr.trim().split('\n').slice(1);
    assert.deepEqual(
      lines.map((line) => line.match(/^ {2}line (\d+): .+/)?.[1]),
      ['3', '4', '5', '6', '7', '8', '9'],
    );
    assert.equal((await api.get(`/wallets/c${id}`)).status, 404);
  });

  test('says what is wrong with a file that is none', async () => {
    const missing = await runProgram(['import', 'bank', join(folder, 'nowhere.csv')], env);
    assert.deepEqual([missing.code, /nowhere\.csv cannot be read: ENOENT/.test(missing.stderr)], [1, true]);
    const path = join(folder, 'other.csv');
    await writeFile(path, 'date,account\n');
    const other = await runProgram(['import', 'bank', path], env);
    assert.equal(other.code, 1);
    assert.match(
      other.stderr,
      /the first line must name the columns .+; missing: transaction, kind, operation, amount, bank_balance/,
    );
    await writeFile(path, '');
    assert.match((await runProgram(['import', 'bank', path], env)).stderr, /other\.csv is empty/);
  });

  test('says which balances are not those of the file, for the wallet was used otherwise', async () => {
    const { path, id } = await bankFile(...PLAIN);
    await importBank(path);
    await api.post(`/wallets/b${id}/credits`, { amount: 1, reason: 'gift', reference: 'gift' });
    const { code, stdout } = await runProgram(['import', 'bank', path], env);
    assert.equal(code, 1);
    assert.match(stdout, new RegExp(`^balances +not the sum of the movements in the file: b${id}$`, 'm'));
  });

  test('goes on when the server is away for a while', async () => {
    const movements = Array.from({ length: 3000 }, (_, i) => {
      return `1993-01-01,d#-${i % 5},3#${i},credit,cash_deposit,1.00,${Math.floor(i / 5) + 1}.00`;
    });
    const { path, id } = await bankFile(...movements);
    const running = importBank(path);
    await until('the import has begun', async () => {
      const { status, body } = await api.get(`/wallets/d${id}-4`);
      return status === 200 && body.movements > 0;
    });
    await platform.restart(api);
    const outcome = await running;
    assert.deepEqual([outcome.credits, outcome.inexact], [3000, []]);
  });
});
