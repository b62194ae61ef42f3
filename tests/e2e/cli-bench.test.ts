import assert from 'node:assert/strict';
import { readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { openFolder } from '../support/data-folder.ts';
import { cacheDir } from '../support/kafka.ts';
import { runProgram } from '../support/program.ts';

/** As they are documented: scripts read them. */
const KEYS = [
  'payments_per_second',
  'errors',
  'post_ms',
  'completion_ms',
  'events_per_second',
  'limit_events_per_second',
  'ratio_to_limit',
  'ledger_balanced',
  'rss_mb',
  'cpu',
  'cpu_seconds_per_1000',
  'bus',
  'instances',
  'commit',
  'node',
  'postgres',
];

/** A server that was killed is taken for dead sooner than by default. */
const SOON = { BUS_HEARTBEAT_MS: '200', BUS_LEASE_MS: '1000' };

/** Where Kafka is installed already. */
const WITH_KAFKA = { CAUDAL_CACHE: cacheDir };

/** What npm has to know of the network where it is not open to all: a proxy, an authority for certificates. */
function networkSettings(): Readonly<Record<string, string>> {
  const known = /^(npm_config_.*|.*_proxy|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE)$/i;
  return Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      known.test(name) && value !== undefined ? [[name, value]] : [],
    ),
  );
}

/** Runs a benchmark, which must leave nothing in the folder for temporary files. */
async function bench(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const folder = await openFolder();
  const { code, stdout, stderr } = await runProgram(['bench', ...args, '--json'], { ...env, TMPDIR: folder });
  assert.equal(code, 0, `${stderr}${stdout}`);
  assert.deepEqual(await readdir(folder), []);
  await rmdir(folder);
  return JSON.parse(stdout);
}

describe('bench', () => {
  test('counts wallet payments that reached their final status, and checks every balance', async () => {
    // On a busy machine there are few payments: of one in fifty there might be none, in one second none at all, and too few
    // events to measure the limit with.
    const sizes = ['--seconds', '3', '--connections', '8', '--wallets', '20', '--hot', '0.5', '--sample-every', '4'];
    const result = await bench(['payments', ...sizes, '--preload-events', '1000']);
    for (const key of KEYS) assert.ok(key in result, key);
    for (const times of [result.post_ms, result.completion_ms])
      assert.ok(times.p50 > 0 && times.p50 <= times.p95 && times.p95 <= times.p99);
    const { payments_per_second: rate, events_per_second: events, limit_events_per_second: limit } = result;
    assert.ok(rate > 0 && events > 0 && limit > 0, JSON.stringify(result));
    assert.ok(Math.abs(result.ratio_to_limit - events / limit) < 0.01);
    assert.deepEqual([result.errors, result.unfinished, result.declined, result.ledger_balanced], [0, 0, 0, true]);
    assert.equal(result.node, process.versions.node);
    assert.deepEqual([result.bus, result.instances], ['postgres', null]);
    const { platform, postgres, kafka } = result.cpu_seconds_per_1000;
    assert.ok(platform > 0 && postgres > 0 && kafka === undefined);
  });

  test('does the same on a Kafka of its own, with two processes of each service', async () => {
    const sizes = ['--seconds', '1', '--warm-up', '0', '--connections', '4', '--wallets', '10'];
    const result = await bench(['payments', '--bus', 'kafka', '--instances', '2', ...sizes], WITH_KAFKA);
    assert.deepEqual([result.bus, result.instances], ['kafka', 2]);
    assert.deepEqual([result.errors, result.unfinished, result.declined, result.ledger_balanced], [0, 0, 0, true]);
    const { platform, postgres, kafka } = result.cpu_seconds_per_1000;
    assert.ok(platform > 0 && postgres > 0 && kafka > 0);
  });

  test('carries a log to Kafka, and finds every event there and noted', async () => {
    const result = await bench(['relay', '--events', '1000'], WITH_KAFKA);
    assert.ok(result.events >= 1000 && result.events_per_second > 0 && result.complete);
    const sum = (of: 'events' | 'messages' | 'landings' | 'landed'): number =>
      result.topics.reduce((total: number, topic: Record<typeof of, number>) => total + topic[of], 0);
    assert.deepEqual([sum('events'), sum('messages'), sum('landings'), sum('landed')], Array(4).fill(result.events));
    for (const part of ['relay', 'postgres', 'kafka']) assert.ok(result.cpu_seconds[part] > 0, part);
  });

  test('does the same with cards through the simulator', async () => {
    const result = await bench(['payments', '--seconds', '1', '--connections', '4', '--method', 'credit_card']);
    assert.ok(result.payments_per_second > 0);
    assert.deepEqual([result.errors, result.unfinished, result.declined, result.ledger_balanced], [0, 0, 0, true]);
  });

  test('reads a wallet warm and cold', async () => {
    const result = await bench(['wallet', '--events', '200', '--restarts', '1']);
    for (const name of ['wallet', 'statement', 'balance_as_of']) {
      assert.ok(result.warm_ms[name].p50 > 0 && result.cold_ms[name] > 0, name);
    }
    assert.ok(result.cold_ms.debit > 0);
  });

  test('counts completed purchases, and checks every balance and the stock of every product', async () => {
    // On a busy machine a purchase may take longer than is measured: those that were made by the end are what counts.
    const sizes = ['--seconds', '2', '--warm-up', '1', '--connections', '8', '--wallets', '10', '--products', '10'];
    const result = await bench(['purchases', ...sizes, '--sample-every', '4']);
    assert.ok(result.acknowledged > 0 && result.events_per_second > 0, JSON.stringify(result));
    const { errors, unfinished, cancelled, stock_wrong, ledger_balanced } = result;
    assert.deepEqual([errors, unfinished, cancelled, stock_wrong, ledger_balanced], [0, 0, 0, 0, true]);
  });

  test('lets buyers race for the last unit: each time exactly one gets it, and the others pay nothing', async () => {
    const result = await bench(['race', '--buyers', '16', '--races', '5']);
    assert.deepEqual([result.won_by_one, result.won_by_none, result.won_by_several], [5, 0, 0]);
    const { lost_otherwise, losers_paid_minor, stock_wrong, ledger_balanced } = result;
    assert.deepEqual([lost_otherwise, losers_paid_minor, stock_wrong, ledger_balanced], [0, 0, 0, true]);
  });

  test('looks balances and payments up while payments are made, and checks every answer', async () => {
    const sizes = ['--seconds', '1', '--connections', '4', '--wallets', '10', '--preload-events', '500'];
    const result = await bench(['reads', ...sizes, '--writes-per-second', '50']);
    for (const kind of ['balance', 'payment', 'new_payment']) {
      const { reads, wrong, p50, p99 } = result.kinds[kind];
      assert.ok(reads > 0 && wrong === 0 && p50 > 0 && p50 <= p99, kind);
    }
    assert.deepEqual([result.errors, result.wrong, result.balances_wrong, result.ledger_balanced], [0, 0, 0, true]);
    assert.ok(result.writes.accepted > 0 && result.balances_compared === 10);
    assert.deepEqual([result.writes.errors, result.writes.skipped], [0, 0]);
  });

  test('looks the shop up while it changes, most of it from the caches, and compares all of it afterwards', async () => {
    const sizes = ['--seconds', '1', '--connections', '4', '--wallets', '10', '--products', '20'];
    const result = await bench(['reads', '--mix', 'shop', ...sizes, '--writes-per-second', '30']);
    for (const kind of ['product', 'stock', 'balance']) {
      const { reads, wrong, p50, p99 } = result.kinds[kind];
      assert.ok(reads > 0 && wrong === 0 && p50 > 0 && p50 <= p99, kind);
    }
    assert.deepEqual(Object.keys(result.kinds), ['product', 'stock', 'balance']);
    assert.deepEqual([result.errors, result.wrong, result.rows_wrong], [0, 0, 0]);
    assert.ok(result.writes.accepted > 0 && result.rows_compared === 50);
    assert.deepEqual([result.writes.errors, result.writes.skipped], [0, 0]);
    for (const ratio of Object.values<number>(result.hit_ratio)) assert.ok(ratio > 0 && ratio < 1);
  });

  test('rebuilds every read model, each equal to the one that served', async () => {
    const result = await bench(['replay', '--events', '1000', '--wallets', '10']);
    const names = ['wallets.wallet_balances', 'wallets.ledger_accounts', 'gateway.operations'];
    names.push('payments.saga_projections');
    const untouched = [
      'payments.refunds',
      'catalog.products',
      'inventory.stock',
      'inventory.reservations',
      'purchases.offers',
      'purchases.purchases',
    ];
    assert.deepEqual(
      result.read_models.map((model: { name: string }) => model.name),
      [...names, ...untouched],
    );
    for (const { name, events, events_per_second, different } of result.read_models) {
      assert.equal(different, 0, name);
      assert.ok(untouched.includes(name) || (events > 0 && events_per_second > 0), name);
    }
    assert.deepEqual([result.unfinished, result.load_errors, result.ledger_balanced], [0, 0, true]);
  });

  test('measures one store as it grows', async () => {
    const sizes = ['--at', '0,2000', '--seconds', '3', '--warm-up', '0', '--connections', '4', '--wallets', '10'];
    const result = await bench(['growth', ...sizes]);
    const [first, second] = result.levels;
    assert.ok(first.payments_per_second > 0 && first.ratio === 1 && first.database_mb > 0);
    assert.ok(second.events_before >= 2000 && second.database_mb >= first.database_mb);
    assert.ok(Math.abs(second.ratio - second.payments_per_second / first.payments_per_second) < 0.01);
    assert.deepEqual([first.errors, second.errors, result.unfinished, result.ledger_balanced], [0, 0, 0, true]);
  });

  test('kills the server, and PostgreSQL with it, and loses nothing acknowledged', async () => {
    const sizes = ['--events', '500', '--rounds', '1', '--connections', '4', '--wallets', '10'];
    const result = await bench(['recovery', ...sizes], SOON);
    assert.deepEqual(
      result.rounds.map((round: { killed: string }) => round.killed),
      ['server', 'server_and_postgres'],
    );
    for (const round of result.rounds) {
      assert.ok(round.start_to_accepted_ms > 0 && round.start_to_accepted_ms <= round.kill_to_accepted_ms);
      assert.ok(round.kill_to_accepted_ms <= round.kill_to_final_ms);
      assert.equal(result.medians[round.killed].kill_to_final_ms, round.kill_to_final_ms);
    }
    assert.ok(result.acknowledged > 2);
    assert.deepEqual([result.lost, result.unfinished, result.ledger_balanced], [0, 0, true]);
  });

  test('makes the same transfer by every tool, and checks the sum of all balances of each', async () => {
    const sizes = ['--concurrent', '2', '--seconds', '1', '--warm-up', '0', '--accounts', '5', '--pool', '4'];
    const result = await bench(['peers', ...sizes], networkSettings());
    const tools = ['caudal-http', 'caudal-kernel', 'sql', 'emmett', 'dbos'];
    assert.deepEqual(
      result.cells.map(({ tool, spread }: { tool: string; spread: string }) => `${tool} ${spread}`),
      tools.flatMap((tool) => [`${tool} uniform`, `${tool} hot`]),
    );
    for (const { tool, transfers_per_second, ms, errors, unfinished, refused } of result.cells) {
      assert.ok(transfers_per_second > 0 && ms.p50 > 0 && ms.p50 <= ms.p99, tool);
      assert.deepEqual([errors, unfinished, refused], [0, 0, 0], tool);
    }
    for (const { tool, right, transfers } of result.checks) assert.ok(right && transfers > 2, tool);
  });

  test('says so, with exit code 2, when the tools to compare cannot be installed', async () => {
    const folder = await openFolder();
    const nowhere = { npm_config_registry: 'http://127.0.0.1:1', npm_config_cache: join(folder, 'cache') };
    const { code, stderr } = await runProgram(['bench', 'peers', '--tools', 'emmett'], { ...nowhere, TMPDIR: folder });
    assert.equal(code, 2, stderr);
    assert.match(stderr, /^caudal: npm cannot install what is compared .+network/);
    assert.deepEqual(await readdir(folder), ['cache']);
    await rm(folder, { recursive: true });
  });
});
