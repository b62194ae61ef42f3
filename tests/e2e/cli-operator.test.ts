import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { newUser, pay, walletWith } from '../support/money.ts';
import { startPlatform } from '../support/platform.ts';
import { runProgram } from '../support/program.ts';
import { until } from '../support/until.ts';

const platform = await startPlatform();
const { api } = platform;
const env = { CAUDAL_URL: api.url, CAUDAL_DATA: platform.dataDir, USER: 'ana' };

/** Runs a verb that must succeed. @returns what it printed */
async function caudal(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runProgram(args, env);
  assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
  assert.equal(stderr, '');
  return stdout;
}

async function json(...args: readonly string[]) {
  return JSON.parse(await caudal(...args, '--json'));
}

describe('an operator on the command line', () => {
  test('lists, shows and refunds payments', async () => {
    const user = await walletWith(api, '100.00');
    const paid = await pay(api, { method: 'wallet', customer_id: user, amount: '30.00' });
    await pay(api, { method: 'wallet', customer_id: user, amount: '900.00' });

    const listed = await json('payments', 'list', '--customer', user);
    assert.deepEqual(
      listed.map(({ status, amount }: { status: string; amount: number }) => [status, amount]),
      [
        ['DECLINED', 900],
        ['APPROVED', 30],
      ],
    );
    assert.match(
      await caudal('payments', 'list', '--customer', user, '--status', 'DECLINED'),
      /900\.00 +USD +wallet.+insufficient_funds/,
    );
    assert.equal(await caudal('payments', 'list', '--customer', newUser()), 'no payments\n');

    const refund = await json(
      'payments',
      'refund',
      paid.id,
      '--amount',
      '10.50',
      '--reason',
      'damaged',
      '--key',
      'refund-1',
    );
    assert.equal(refund.amount, 10.5);
    const again = await json(
      'payments',
      'refund',
      paid.id,
      '--amount',
      '10.50',
      '--reason',
      'damaged',
      '--key',
      'refund-1',
    );
    assert.equal(again.id, refund.id);
    await until(
      'the refund is made',
      async () => (await json('payments', 'show', paid.id)).status === 'PARTIALLY_REFUNDED',
    );
    const text = await caudal('payments', 'show', paid.id);
    assert.match(text, /^id +[0-9a-f-]{36}$/m);
    for (const step of ['payments.created', 'wallet.debited', 'payments.approved', 'payments.refunded'])
      assert.ok(text.includes(step), step);
    assert.equal((await json('wallets', 'show', user)).balance, 80.5);
  });

  test('is told why something cannot be done, with exit code 1', async () => {
    const { code, stdout, stderr } = await runProgram(['wallets', 'show', newUser()], env);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /^caudal: GET \/wallets\/.+: 404 wallet_not_found: .+ \(trace id [0-9a-f]{32}\)\n$/);
    const declined = await pay(api, { payment_token: 'tok_declined' });
    const refused = await runProgram(['payments', 'refund', declined.id, '--reason', 'x'], env);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /409 payment_not_refundable/);
  });

  test('reads statements, and balances of the past', async () => {
    const user = await walletWith(api, '0', 'EUR');
    for (const [day, amount] of [
      ['2001-01-10', '5.00'],
      ['2001-02-10', '7.00'],
      ['2001-03-10', '9.00'],
    ] as const) {
      await api.post(`/wallets/${user}/credits`, { amount, reason: 'deposit', reference: day, effective_at: day });
    }
    assert.equal((await json('wallets', 'show', user, '--as-of', '2001-02-28')).balance, 12);
    assert.match(await caudal('wallets', 'show', user), /^balance +21\.00$/m);
    const lines = (await caudal('wallets', 'statement', user, '--from', '2001-02-01')).trim().split('\n');
    assert.equal(lines.length, 3);
    assert.match(lines[1]!, /^2001-03-10 00:00:00 +credit +9\.00 +21\.00 +EUR +deposit +2001-03-10$/);
    assert.equal((await json('wallets', 'statement', user, '--limit', '2')).length, 2);
  });

  test('reads the log from its end, from a number on, by type, and one event', async () => {
    const payment = await pay(api, {});
    const latest = (await caudal('events', 'tail', '--limit', '3')).trim().split('\n');
    assert.equal(latest.length, 3);
    assert.match(latest[2]!, new RegExp(`payments\\.approved .+payment/${payment.id}`));

    const approved = (await caudal('events', 'tail', '--type', 'payments.approved', '--limit', '1000', '--json'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const event = approved.at(-1);
    assert.equal(event.aggregateId, payment.id);
    assert.deepEqual(new Set(approved.map(({ type }) => type)), new Set(['payments.approved']));

    const from = (await caudal('events', 'tail', '--from', String(event.sequence), '--json')).trim().split('\n');
    assert.equal(JSON.parse(from[0]!).id, event.id);
    const all = (await caudal('events', 'tail', '--from', '0', '--json')).trim().split('\n');
    const numbers = all.map((line) => JSON.parse(line).sequence);
    assert.deepEqual(
      numbers,
      [...numbers].sort((a, b) => a - b),
    );
    assert.equal(numbers[0], 1);

    const shown = await json('events', 'show', event.id);
    assert.deepEqual(shown.data, event.data);
    assert.deepEqual([shown.place.topic, shown.place.key], ['payments.approved', payment.id]);
    assert.match(
      await caudal('events', 'show', event.id.toUpperCase()),
      /^bus +payments\.approved, partition [0-5], key /m,
    );
    const missing = await runProgram(['events', 'show', '01a20163-2dd7-7000-aee9-546cabf42400'], env);
    assert.deepEqual(
      [missing.code, missing.stderr],
      [1, 'caudal: there is no event 01a20163-2dd7-7000-aee9-546cabf42400\n'],
    );
  });

  test('sees sagas, and is refused to retry what is finished', async () => {
    const payment = await pay(api, {});
    await until('the read model has it', async () => {
      const sagas = await json('sagas', 'list', '--state', 'COMPLETED');
      return sagas.some(({ payment_id }: { payment_id: string }) => payment_id === payment.id);
    });
    assert.equal(await caudal('sagas', 'list', '--stuck'), 'no saga is stuck\n');
    const { code, stderr } = await runProgram(['sagas', 'retry', payment.id], env);
    assert.equal(code, 1);
    assert.match(stderr, /409 saga_not_stuck/);
  });

  test('finds a malformed message among the dead letters, looks, replays and discards', async () => {
    await pay(api, {});
    const [line] = (await caudal('events', 'tail', '--type', 'payments.created', '--json')).split('\n');
    const malformed = { ...JSON.parse(line!), data: { id: 'without all the rest' } };
    await platform.query(
      `INSERT INTO error_log (consumer, event_id, dlq_topic, original_topic, partition, key, event, attempts, error, fingerprint,
          first_seen, last_seen, status)
        SELECT 'fraud', id, 'payments.dlq', 'payments.created', 0, 'k' || n, $1::jsonb || jsonb_build_object('id', id), 4,
          'malformed', 'print', now(), now(), 'open'
        FROM (SELECT n, gen_random_uuid() AS id FROM generate_series(1, 2) n) letters`,
      [JSON.stringify(malformed)],
    );
    const letters = await json('dlq', 'list');
    assert.equal(letters.length, 2);
    assert.match(
      await caudal('dlq', 'list', '--service', 'fraud'),
      /payments\.created +k1 +open +4 .+print +malformed/,
    );
    assert.match(await caudal('dlq', 'list', '--group'), /print +fraud +payments\.created +2 +2 /);
    assert.match(await caudal('dlq', 'show', letters[0].id), /^error +malformed$/m);
    const discarded = await json('dlq', 'discard', letters[0].id);
    assert.deepEqual([discarded.status, discarded.resolved_by], ['discarded', 'ana']);
    assert.deepEqual(await json('dlq', 'replay', '--fingerprint', 'print'), { replayed: 1, remaining: 0 });
    await until('its service refuses it again', async () => (await json('dlq', 'list')).length === 1);
    await caudal('dlq', 'discard', letters[1].id);
    assert.equal(await caudal('dlq', 'list'), 'no dead letter is open\n');
  });

  test('makes partitions ahead', async () => {
    const before = await json('partitions', 'list');
    const { created } = await json('partitions', 'create', '--months', '7');
    assert.equal(before.length + created.length, 8);
    assert.equal((await json('partitions', 'list')).length, 8);
    assert.equal(await caudal('partitions', 'create', '--months', '7'), 'all of them exist already\n');
  });

  test('rebuilds read models while the server runs', async () => {
    await pay(api, {});
    await api.post('/api/v1/products', { sku: 'CUP-1', name: 'Blue tea cup', price: 4, currency: 'GBP' });
    await api.post('/api/v1/inventory/CUP-1/adjustments', { change: 2, threshold: 3, reason: 'test' });
    const models = await json('projections', 'list');
    const names = models.map(({ name }: { name: string }) => name);
    assert.deepEqual(names.sort(), [
      'catalog.products',
      'gateway.operations',
      'inventory.reservations',
      'inventory.stock',
      'payments.refunds',
      'payments.saga_projections',
      'purchases.offers',
      'purchases.purchases',
      'wallets.ledger_accounts',
      'wallets.wallet_balances',
    ]);
    for (const name of names.filter((known: string) => known !== 'gateway.operations')) {
      const { swapped, different } = await json('projections', 'rebuild', name);
      assert.deepEqual([swapped, different], [true, 0], name);
    }
    assert.equal((await pay(api, {})).status, 'APPROVED');
    const found = await api.get('/api/v1/products?q=blue+cup');
    assert.deepEqual(
      found.body.data.map(({ sku }: { sku: string }) => sku),
      ['CUP-1'],
    );
    assert.equal((await api.get('/api/v1/inventory/alerts')).body.data[0].available, 2);
    const { code, stderr } = await runProgram(['projections', 'rebuild', 'nonsense'], env);
    assert.equal(code, 2);
    assert.match(stderr, /there is no read model nonsense; known are wallets\.wallet_balances/);
  });

  test('is told which row of a read model was changed, and mends it', async () => {
    const user = await walletWith(api, '10.00');
    assert.match(await caudal('verify'), /^OK: /);
    const [wallet] = await platform.query<{ wallet_id: string }>(
      'UPDATE wallets.wallet_balances SET balance_minor = balance_minor + 1 WHERE user_id = $1 RETURNING wallet_id',
      [user],
    );
    const { code, stdout } = await runProgram(['verify'], env);
    assert.equal(code, 1);
    assert.match(
      stdout,
      new RegExp(`wallets\\.wallet_balances: 1 rows are not what the log says: ${wallet!.wallet_id}`),
    );
    assert.match(stdout, /the accounts in USD do not sum to zero but to 0\.01/);
    const rebuilt = await runProgram(['projections', 'rebuild', 'wallets.wallet_balances'], env);
    assert.equal(rebuilt.code, 1);
    assert.match(rebuilt.stdout, /1 rows differ from the old one.+\nThe old one stays/);
    const replaced = await runProgram(['projections', 'rebuild', 'wallets.wallet_balances', '--replace'], env);
    assert.match(replaced.stdout, /Swapped in all the same/);
    assert.equal((await json('wallets', 'show', user)).balance_minor, 1000);
    assert.match(await caudal('verify'), /^OK: /);
  });

  test('sees what the monitor found, and settles it', async () => {
    assert.match(await caudal('verify', '--findings'), /^No findings are open\./);
    await platform.query(
      `INSERT INTO metrics.findings (invariant, subject, message, event_id) VALUES
        ('taken_once', 'p1', 'payment p1: taken 2 times', 'e1'), ('balanced', 'USD', 'off by 1', NULL)`,
    );
    const { code, stdout } = await runProgram(['verify', '--findings', '--json'], env);
    assert.equal(code, 1);
    const [first, second] = JSON.parse(stdout);
    assert.equal(first.message, 'payment p1: taken 2 times');
    await until('the alert is shown', async () => {
      const { text } = await api.get('/metrics');
      return /^caudal_alert\{name="broken_invariant"\} 1$/m.test(text);
    });
    assert.equal(await caudal('verify', '--settle', String(first.id)), '1 settled\n');
    const again = await runProgram(['verify', '--settle', String(first.id)], env);
    assert.deepEqual([again.code, again.stderr.includes(`no finding ${first.id} is open`)], [1, true]);
    assert.match(
      (await runProgram(['verify', '--findings'], env)).stdout,
      new RegExp(`${second.id} .+ balanced +off by 1`),
    );
    assert.equal(await caudal('verify', '--settle', 'all'), '1 settled\n');
    assert.equal((await runProgram(['verify', '--settle', 'x'], env)).code, 2);
  });

  test('is told which event was changed, removed or inserted by SQL', async () => {
    for (let i = 0; i < 4; i++) await pay(api, {});
    // Not neighbours: what stands after a removed event has lost what it was linked to.
    const [first, , , second] = await platform.query<{ event_id: string }>(
      `SELECT event_id FROM events WHERE event_type = 'payments.checked' ORDER BY sequence_number DESC LIMIT 4`,
    );
    const forgeries = [
      `UPDATE events SET event_data = event_data || '{"score": 99}' WHERE event_id = '${first!.event_id}'`,
      `DELETE FROM events WHERE event_id = '${second!.event_id}'`,
      `INSERT INTO events SELECT gen_random_uuid(), gen_random_uuid(), nextval('events_sequence_number'), 1, chain_position + 1000000,
        "timestamp", created_at, chain, event_version, aggregate_type, event_type, event_data, event_metadata, hash
        FROM events WHERE event_id = '${first!.event_id}'`,
    ];
    for (const forgery of forgeries) await platform.query(forgery);
    const { code, stdout } = await runProgram(['verify', '--json'], env);
    assert.equal(code, 1);
    const { ok, findings } = JSON.parse(stdout);
    assert.equal(ok, false);
    const kinds = findings.map(({ kind }: { kind: string }) => kind);
    for (const kind of ['changed', 'removed', 'inserted']) assert.ok(kinds.includes(kind), `${kind}: ${stdout}`);
    assert.equal(findings.find(({ kind }: { kind: string }) => kind === 'changed').eventId, first!.event_id);
    const text = await runProgram(['verify'], env);
    assert.match(text.stdout, new RegExp(`^changed: event ${first!.event_id} \\(payments\\.checked; `, 'm'));
    assert.match(text.stdout, /^removed: the event at position \d+ of chain \d+ was removed/m);
  });
});
