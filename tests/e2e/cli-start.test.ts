import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { apiAt } from '../support/api.ts';
import { temporaryDataFolder } from '../support/data-folder.ts';
import { pay } from '../support/money.ts';
import { freePort, runProgram } from '../support/program.ts';
import { until } from '../support/until.ts';

const PROGRAM = join(import.meta.dirname, '../../src/cli/main.ts');
const CAUDAL_DATA = await temporaryDataFolder();
const port = await freePort();
const env = { PATH: process.env.PATH ?? '', CAUDAL_DATA, PORT: String(port), SIMULATOR_PORT: '0' };
const api = apiAt(`http://127.0.0.1:${port}`);
after(() => rm(CAUDAL_DATA, { recursive: true }));

/** A server, and what it printed so far. */
interface Started {
  readonly child: ChildProcess;
  readonly printed: () => string;
  readonly logged: () => string;
  readonly ended: Promise<unknown[]>;
}

function spawnServer(settings: Readonly<Record<string, string>> = {}): Started {
  const child = spawn(process.execPath, [PROGRAM, 'start'], {
    env: { ...env, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]!.setEncoding('utf8').on('data', (text: string) => {
      texts[name] += text;
    });
  }
  const kill = (): void => void child.kill('SIGKILL');
  process.on('exit', kill);
  return { child, printed: () => texts.stdout, logged: () => texts.stderr, ended: once(child, 'exit') };
}

async function startServer(settings: Readonly<Record<string, string>> = {}): Promise<Started> {
  const server = spawnServer(settings);
  await until('it runs', () => {
    assert.equal(server.child.exitCode, null, server.logged());
    return server.printed().includes('payments list');
  });
  return server;
}

describe('start', () => {
  test('says where everything is and what to try, and logs JSON lines beside', async () => {
    const server = await startServer();
    const printed = server.printed();
    for (const line of [
      new RegExp(`^API +http://127\\.0\\.0\\.1:${port}/api/v1$`, 'm'),
      new RegExp(`^documentation +http://127\\.0\\.0\\.1:${port}/docs$`, 'm'),
      /^card gateway +http:\/\/127\.0\.0\.1:\d+ +\(simulator\)$/m,
      /^services +payments, fraud, wallets, gateway, metrics, catalog, inventory, purchases, api$/m,
    ]) {
      assert.match(printed, line);
    }
    assert.ok(printed.includes(CAUDAL_DATA));
    const curl = printed
      .split('\n')
      .find((line) => line.trim().startsWith('curl'))!
      .trim();
    const shell = spawn('sh', ['-c', `${curl} -s`], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [answer] = await once(shell.stdout.setEncoding('utf8'), 'data');
    const { id, status } = JSON.parse(answer);
    assert.equal(status, 'PENDING');
    await until('it is approved', async () => (await api.get(`/payments/${id}`)).body.status === 'APPROVED');
    for (const line of server.logged().trim().split('\n')) assert.ok(JSON.parse(line).message, line);
    server.child.kill('SIGINT');
    assert.deepEqual(await server.ended, [0, null]);
    assert.match(server.printed(), /\nStopping: .+\nStopped\.\n$/);
  });

  test('goes on with the same data, and logs to a file when asked to', async () => {
    const logFile = join(CAUDAL_DATA, 'logs', 'caudal.log');
    const server = await startServer({ CAUDAL_LOG_FILE: logFile });
    const { body } = await api.get('/payments');
    assert.equal(body.data.length, 1);
    assert.equal(server.logged(), '');
    const { code, stdout } = await runProgram(['payments', 'list', '--json'], env);
    assert.deepEqual([code, JSON.parse(stdout).length], [0, 1]);
    server.child.kill('SIGTERM');
    assert.deepEqual(await server.ended, [0, null]);
    const { stdout: lines } = await runProgram(['config', '--json'], { ...env, CAUDAL_LOG_FILE: logFile });
    assert.ok(lines.includes(logFile));
  });

  test('maintaining verbs start the database for the time being while no server runs', async () => {
    const verified = await runProgram(['verify', '--json'], env);
    assert.deepEqual([verified.code, verified.stderr, JSON.parse(verified.stdout).ok], [0, '', true]);
    const tail = await runProgram(['events', 'tail', '--json'], env);
    assert.equal(JSON.parse(tail.stdout.trim().split('\n').at(-1)!).type, 'payments.approved');
  });

  test('refuses a topology that there is not, and one that its data is not on', async () => {
    for (const [topology, message] of [
      ['by-moon', /^caudal: CAUDAL_TOPOLOGY=by-moon: known are by-type, single, by-flow, by-service, granular$/m],
      [
        'single',
        /^caudal: CAUDAL_TOPOLOGY=single: this database is on by-type; to move it: caudal topology migrate single$/m,
      ],
    ] as const) {
      const { code, stderr } = await runProgram(['start'], { ...env, CAUDAL_TOPOLOGY: topology });
      assert.equal(code, 2);
      assert.match(stderr, message);
    }
  });

  test('moves to another topology and back while it runs, and knows afterwards where it is', async () => {
    const server = await startServer();
    const moved = await runProgram(['topology', 'migrate', 'by-flow'], env);
    assert.deepEqual([moved.code, moved.stderr.match(/^\w+ is on by-flow$/gm)?.length], [0, 7], moved.stderr);
    assert.match(moved.stdout, /^topology +by-type$/m);
    assert.match(moved.stdout, /^consumers there +7 of 7$/m);
    assert.equal((await pay(api, {})).status, 'APPROVED');
    assert.equal((await runProgram(['topology', 'migrate', 'single'], env)).code, 1);
    assert.equal((await runProgram(['topology', 'migrate', '--retire'], env)).code, 0);
    server.child.kill('SIGTERM');
    assert.deepEqual(await server.ended, [0, null]);
    const again = await startServer({ CAUDAL_TOPOLOGY: 'by-type' });
    assert.match(again.logged(), /CAUDAL_TOPOLOGY names a topology that was left/);
    assert.equal((await pay(api, {})).status, 'APPROVED');
    const onward = await runProgram(['topology', 'migrate', 'by-type'], env);
    assert.equal(onward.code, 0, onward.stderr);
    const undone = await runProgram(['topology', 'migrate', '--back', '--json'], env);
    const { current, target } = JSON.parse(undone.stdout);
    assert.deepEqual([current, target], ['by-flow', undefined]);
    again.child.kill('SIGTERM');
    assert.deepEqual(await again.ended, [0, null]);
  });

  test('stops when it is told to while it starts', async () => {
    const server = spawnServer();
    await until('it begins', () => server.printed() !== '');
    server.child.kill('SIGTERM');
    assert.deepEqual(await server.ended, [0, null]);
    assert.match(server.printed(), /Stopped\.\n$/);
  });

  test('ends at once at the second Ctrl-C, and loses nothing', async () => {
    const server = await startServer();
    const payment = await pay(api, {});
    server.child.kill('SIGINT');
    server.child.kill('SIGINT');
    const [code] = await server.ended;
    assert.ok(code === 1 || code === 0, String(code));
    const again = await startServer();
    assert.equal((await api.get(`/payments/${payment.id}`)).body.status, 'APPROVED');
    again.child.kill('SIGTERM');
    assert.deepEqual(await again.ended, [0, null]);
  });
});
