import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { openFolder } from '../support/data-folder.ts';
import { freePort, runProgram } from '../support/program.ts';

const VERBS = [
  'start',
  'import',
  'payments',
  'wallets',
  'events',
  'dlq',
  'sagas',
  'projections',
  'partitions',
  'topology',
  'verify',
  'simulate',
  'bench',
  'kafka',
  'cluster',
  'config',
];
const SUBCOMMANDS = [
  'import bank',
  'import retail',
  'payments list',
  'payments show',
  'payments refund',
  'wallets show',
  'wallets statement',
  'events tail',
  'events show',
  'dlq list',
  'dlq show',
  'dlq replay',
  'dlq discard',
  'sagas list',
  'sagas retry',
  'projections list',
  'projections rebuild',
  'partitions list',
  'partitions create',
  'topology show',
  'topology create',
  'topology migrate',
  'topology compare',
  'bench payments',
  'bench purchases',
  'bench race',
  'bench wallet',
  'bench reads',
  'bench replay',
  'bench recovery',
  'bench growth',
  'bench peers',
  'kafka start',
  'kafka stop',
  'kafka status',
  'kafka tool',
  'kafka install',
  'cluster',
  'start',
  'verify',
  'config',
];

describe('the command line', () => {
  test('lists its verbs and the exit codes', async () => {
    const { code, stdout } = await runProgram(['--help']);
    assert.equal(code, 0);
    for (const verb of VERBS) assert.match(stdout, new RegExp(`^  ${verb}\\b`, 'm'));
    assert.match(stdout, /Exit codes: 0 done, 1 it found something wrong, 2 wrong use/);
  });

  test('gives each command a help with an example', async () => {
    for (const command of SUBCOMMANDS) {
      const { code, stdout } = await runProgram([...command.split(' '), '--help']);
      assert.equal(code, 0, command);
      assert.match(stdout, new RegExp(`Example:\n  bin/caudal ${command}\\b`), command);
    }
  });

  test('ends with 2 where the use is wrong, and says what is', async () => {
    const wrong: readonly [readonly string[], RegExp][] = [
      [[], /Usage: caudal/],
      [['nonsense'], /unknown command 'nonsense'/],
      [['payments'], /Usage: caudal payments/],
      [['payments', 'show'], /missing required argument 'id'/],
      [['payments', 'list', '--status', 'ODD'], /Allowed choices are PENDING, APPROVED/],
      [['payments', 'list', '--limit', '0'], /whole number from 1/],
      [['payments', 'refund', 'x'], /required option '--reason <text>' not specified/],
      [['payments', 'list', '--url', 'nowhere'], /nowhere is not the address of a server/],
      [['events', 'show', 'not-an-id'], /there is no data in|not the id of an event/],
      [['bench', 'payments', '--hot', '2'], /a number from 0 to 1/],
      [['bench', 'growth', '--at', '5,1'], /rising whole numbers/],
      [['bench', 'peers', '--tools', 'mysql'], /There is no mysql; known are caudal-http, /],
      [['import', 'bank', 'x.csv', '--overdraft', '-1'], /must not be negative/],
      [['dlq', 'replay'], /say which/],
      [['dlq', 'replay', '--topic', 'wallet.dlq', '--partition', '0'], /--offset, with --to for a range, or --all/],
      [['dlq', 'replay', '--all', '--offset', '17'], /say of which --topic/],
      [['dlq', 'replay', '--topic', 'wallet.dlq', '--all', '--service', 'wallets'], /say which/],
      [['topology', 'migrate', 'by-flow', '--back'], /one of a topology, --back and --retire/],
      [['topology', 'migrate', 'by-flow', '--delete-topics'], /--delete-topics is for when a topology was left/],
      [['topology', 'show', 'by-moon'], /Allowed choices are by-type, single, by-flow, by-service, granular/],
    ];
    for (const [args, message] of wrong) {
      const { code, stderr } = await runProgram(args, { CAUDAL_DATA: '/nowhere' });
      assert.match(stderr, message, args.join(' '));
      assert.equal(code, args[0] === 'events' ? 1 : 2, `${args.join(' ')}: ${stderr}`);
    }
  });

  test('says in one line that nobody answers, and what to do', async () => {
    const port = await freePort();
    const { code, stdout, stderr } = await runProgram(['payments', 'list'], { PORT: String(port) });
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(
      stderr,
      new RegExp(
        `^caudal: no Caudal answers at http://127.0.0.1:${port}/ \\(.+\\)\\. Start it with "bin/caudal start".+CAUDAL_URL or --url\n$`,
      ),
    );
  });

  test('makes no store where there is none', async () => {
    const { code, stderr } = await runProgram(['verify'], { CAUDAL_DATA: '/nowhere/at/all' });
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^caudal: there is no data in \/nowhere\/at\/all: run "bin\/caudal start" first, or set CAUDAL_DATA or DATABASE_URL\n$/,
    );
  });

  test('names the setting that is wrong', async () => {
    for (const [setting, value] of [
      ['PORT', 'eighty'],
      ['LOG_LEVEL', 'loud'],
      ['CAUDAL_SERVICES', 'payments,nonsense'],
    ] as const) {
      const { code, stderr } = await runProgram(['start'], { CAUDAL_DATA: '/nowhere', [setting]: value });
      assert.equal(code, 2);
      assert.match(stderr, new RegExp(`^caudal: ${setting}`));
      assert.equal(stderr.trim().split('\n').length, 1);
    }
  });

  test('says which port is in use', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    const CAUDAL_DATA = await openFolder();
    const { code, stderr } = await runProgram(['start'], { CAUDAL_DATA, PORT: String(port), SIMULATOR_PORT: '0' });
    server.close();
    await rm(CAUDAL_DATA, { recursive: true });
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`^caudal: port ${port} is in use; set PORT to a free one$`, 'm'));
  });

  test('shows settings, but not what is secret', async () => {
    const env = { PORT: '9090', GATEWAY_WEBHOOK_SECRET: 'hidden-value', DATABASE_URL: 'postgres://u:hidden-value@h/d' };
    const { code, stdout } = await runProgram(['config', '--json'], env);
    assert.equal(code, 0);
    assert.doesNotMatch(stdout, /hidden-value/);
    const settings: { setting: string; value: string }[] = JSON.parse(stdout);
    assert.equal(settings.find(({ setting }) => setting === 'PORT')!.value, '9090');
    const changed = await runProgram(['config', '--changed'], env);
    assert.match(changed.stdout, /PORT +9090 +8080/);
    assert.doesNotMatch(changed.stdout, /CAUDAL_TOPOLOGY/);
  });

  test('shows the topology that is chosen: topics, partitions, keys and consumer groups', async () => {
    const { code, stdout } = await runProgram(['topology', 'show']);
    assert.equal(code, 0);
    assert.match(stdout, /^topology +by-type$/m);
    assert.match(
      stdout,
      /^payments\.created +6 +payments\.created +payment_id +fraud-service-payments-created-consumer$/m,
    );
    assert.match(stdout, /^commerce\.dlq +6$/m);
    const other = await runProgram(['topology', 'show'], { CAUDAL_TOPOLOGY: 'single' });
    assert.match(
      other.stdout,
      /^events\.payments\.v1 +12 +payments\.created +user_id, even partitions +fraud-service-/m,
    );
  });

  test('shows any topology as JSON, with copies told from places', async () => {
    const { code, stdout } = await runProgram(['topology', 'show', 'granular', '--json']);
    assert.equal(code, 0);
    const { name, topics } = JSON.parse(stdout);
    assert.equal(name, 'granular');
    const eventsOn = (topic: string) => topics.find((found: { topic: string }) => found.topic === topic).events;
    const approved = { type: 'payments.approved', key: 'payment_id', on: 'all' };
    const groups = ['wallets', 'purchases'].map((name) => `${name}-service-saga-events-payment-completed-v1-consumer`);
    assert.deepEqual(eventsOn('saga.events.payment.completed.v1')[0], { ...approved, copy: false, groups });
    assert.deepEqual(eventsOn('metrics.events.payment.completed.v1')[0], { ...approved, copy: true, groups: [] });
    assert.deepEqual(eventsOn('audit-logs'), []);
  });
});
