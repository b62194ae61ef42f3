import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type InjectedApi, startInjectedApi } from '../../support/injected-api.ts';

const DAYS = ['1997-05-01', '1997-05-03', '1997-05-03', '1997-06-30'] as const;

describe('wallets over HTTP', () => {
  let api: InjectedApi;
  before(async () => {
    api = await startInjectedApi();
  });
  after(() => api.close());

  const open = async (user_id: string, fields: object = {}) =>
    api.post('/wallets', { user_id, currency: 'USD', ...fields });
  let references = 0;
  const move = (kind: 'credits' | 'debits', id: string, fields: object) => {
    references += 1;
    return api.post(`/wallets/${encodeURIComponent(id)}/${kind}`, {
      reason: 'test',
      reference: `r${references}`,
      ...fields,
    });
  };

  test('a wallet is opened once for a user', async () => {
    const { status, body } = await open('ann', { overdraft_limit: '50.00' });
    assert.equal(status, 201);
    const { id, opened_at, updated_at, ...rest } = body;
    assert.deepEqual(rest, {
      user_id: 'ann',
      currency: 'USD',
      balance: 0,
      balance_minor: 0,
      overdraft_limit: 50,
      overdraft_limit_minor: 5000,
      movements: 0,
    });
    assert.deepEqual((await api.get(`/wallets/${id}`)).body, body);
    assert.deepEqual((await api.get('/wallets/ann')).body, body);
    const again = await open('ann', { currency: 'EUR' });
    assert.deepEqual([again.status, again.body.code], [409, 'wallet_already_exists']);
  });

  test('what is wrong with an opening is all named', async () => {
    const { body } = await open('', { currency: 'XXX', overdraft_limit: -1, limit: 1 });
    const fields = body.errors.map(({ field, code }: { field: string; code: string }) => `${field} ${code}`);
    assert.deepEqual(fields.sort(), ['currency unknown_currency', 'limit unknown_field', 'user_id too_short']);
    const negative = await open('negative', { overdraft_limit: -1 });
    assert.deepEqual(negative.body.errors[0].field, 'overdraft_limit');
    const exact = await open('precise', { overdraft_limit: 0.001 });
    assert.deepEqual([exact.status, exact.body.code], [422, 'amount_too_precise']);
  });

  test('money moves in and out, down to the overdraft limit and no further', async () => {
    const { id } = (await open('bob', { overdraft_limit: 10 })).body;
    const credit = (await move('credits', 'bob', { amount: '100.50', reason: 'deposit' })).body;
    assert.deepEqual(
      [
        credit.wallet_id,
        credit.kind,
        credit.amount_minor,
        credit.previous_balance_minor,
        credit.new_balance,
        credit.payment_id,
      ],
      [id, 'credit', 10_050, 0, 100.5, null],
    );
    const no = await move('debits', id, { amount: '110.51' });
    assert.deepEqual([no.status, no.body.code], [422, 'insufficient_funds']);
    const yes = await move('debits', id, { amount: '110.50' });
    assert.deepEqual([yes.status, yes.body.new_balance_minor], [201, -1000]);
    assert.equal((await api.get('/wallets/bob/balance')).body.balance, -10);
  });

  test('a movement in another currency, or with wrong fields, is refused', async () => {
    await open('eve');
    const other = await move('credits', 'eve', { amount: 1, currency: 'EUR' });
    assert.deepEqual([other.status, other.body.code], [422, 'currency_mismatch']);
    const wrong = await move('credits', 'eve', { amount: 'x', reason: '', note: 1 });
    assert.deepEqual(wrong.body.errors.map(({ field }: { field: string }) => field).sort(), [
      'amount',
      'note',
      'reason',
    ]);
    for (const effective_at of ['soon', '2026-13-01', '2026-02-29', '0001-01-01']) {
      assert.equal((await move('credits', 'eve', { amount: 1, effective_at })).status, 422, effective_at);
    }
    const tooLarge = await move('credits', 'eve', { amount: '90071992547409.91' });
    assert.equal(tooLarge.status, 201);
    assert.equal((await move('credits', 'eve', { amount: '0.01' })).body.code, 'balance_too_large');
  });

  test('a user whose name needs escaping in a path', async () => {
    const user = 'ä/ö?#% 😀';
    assert.equal((await open(user)).status, 201);
    assert.equal((await move('credits', user, { amount: 3 })).body.user_id, user);
    assert.equal((await api.get(`/wallets/${encodeURIComponent(user)}`)).body.balance, 3);
  });

  test('the statement and past balances go by the value date', async () => {
    await open('old');
    for (const [i, effective_at] of DAYS.entries())
      await move('credits', 'old', { amount: 10 * (i + 1), effective_at });
    const amounts = async (query: string) =>
      (await api.get(`/wallets/old/transactions?${query}`)).body.data.map(({ amount }: { amount: number }) => amount);
    assert.deepEqual(await amounts(''), [40, 30, 20, 10]);
    assert.deepEqual(await amounts('order=asc'), [10, 20, 30, 40]);
    assert.deepEqual(await amounts('from=1997-05-02&to=1997-05-03'), [30, 20]);
    assert.deepEqual(await amounts('from=1997-05-01T00:00:00Z&to=1997-05-03T00:00:00Z'), [10]);
    const page = (await api.get('/wallets/old/transactions?limit=3')).body;
    assert.deepEqual(await amounts(`limit=3&cursor=${page.next_cursor}`), [10]);

    const balance = async (as_of: string) => (await api.get(`/wallets/old/balance?as_of=${as_of}`)).body;
    assert.equal((await balance('1997-04-30')).balance, 0);
    assert.equal((await balance('1997-05-01')).balance, 10);
    assert.equal((await balance('1997-05-02T23:59:59Z')).balance, 10);
    assert.equal((await balance('1997-05-03T02:00:00%2B02:00')).balance, 60);
    assert.deepEqual((await balance('1997-05-03')).as_of, '1997-05-03T23:59:59.999Z');
    assert.equal((await balance('2100-01-01')).balance, 100);
  });

  test('wallets are listed by user and by least balance', async () => {
    for (const [user, amount, currency] of [
      ['yen', 500, 'JPY'],
      ['dinar', '500.001', 'KWD'],
    ] as const) {
      await open(user, { currency });
      await move('credits', user, { amount });
    }
    const users = async (query: string) =>
      (await api.get(`/wallets?${query}`)).body.data.map(({ user_id }: { user_id: string }) => user_id);
    assert.deepEqual(await users('user_id=yen'), ['yen']);
    assert.deepEqual(await users('user_id=nobody'), []);
    const rich = await users('min_balance=500');
    assert.ok(rich.includes('yen') && rich.includes('dinar') && !rich.includes('bob'));
    assert.ok(!(await users('min_balance=500.001')).includes('yen'));
    const first = (await api.get('/wallets?limit=2')).body;
    const second = (await api.get(`/wallets?limit=2&cursor=${first.next_cursor}`)).body;
    const ids = [...first.data, ...second.data].map(({ id }: { id: string }) => id);
    assert.equal(new Set(ids).size, 4);
  });

  test('the ledger shows every account and sums to zero, also past 2^53', async () => {
    await open('second rich');
    await move('credits', 'second rich', { amount: '90071992547409.91' });
    await move('debits', 'old', { amount: 1, reason: 'fee' });
    const { status, text, body } = await api.get('/api/v1/ledger/trial-balance');
    assert.equal(status, 200);
    assert.equal(body.balanced, true);
    // eve and the second one own 2^53 - 1 cents each, and the others a little: too much for a double, exact in the text.
    assert.match(text, /"debit_minor":18014398509\d{6},/);
    const accounts: { account: string; currency: string }[] = [];
    for (let cursor = ''; cursor !== null; ) {
      const page = (
        await api.get(`/api/v1/ledger/accounts?limit=2${cursor && `&cursor=${encodeURIComponent(cursor)}`}`)
      ).body;
      accounts.push(...page.data);
      cursor = page.next_cursor;
    }
    const names = accounts.map(({ account, currency }) => `${account} ${currency}`);
    assert.equal(new Set(names).size, names.length);
    for (const name of ['fees USD', 'world USD', 'world JPY']) assert.ok(names.includes(name), name);
    const wallet = (await api.get('/wallets/old')).body;
    assert.ok(names.includes(`wallet:${wallet.id} USD`));
  });
});
