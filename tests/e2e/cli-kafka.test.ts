import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { choosePorts } from '#kernel/bus/kafka/server/ports.ts';
import { cacheDir, folderForBrokers } from '../support/kafka.ts';
import { PROGRAM, runProgram } from '../support/program.ts';
import { until } from '../support/until.ts';

const dataDir = await folderForBrokers();
const env = { CAUDAL_DATA: dataDir, CAUDAL_CACHE: cacheDir, CAUDAL_KAFKA_HEAP: '256m' };

after(async () => {
  await kafka('stop');
  await rm(dataDir, { recursive: true });
});

/** Runs the verb. */
function kafka(...args: readonly string[]) {
  return runProgram(['kafka', ...args], env);
}

/** Runs one that must succeed. @returns what it printed */
async function printed(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await kafka(...args);
  assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** Runs the console producer with this on its standard input. */
async function produce(topic: string, input: string): Promise<void> {
  const child = spawn(process.execPath, [PROGRAM, 'kafka', 'tool', 'console-producer', '--topic', topic], {
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  child.stdin.end(input);
  const [code] = await once(child, 'close');
  assert.equal(code, 0);
}

describe('Kafka on the command line', () => {
  test('does not run before it is started', async () => {
    const status = await kafka('status');
    assert.equal(status.code, 1);
    assert.match(status.stdout, /^there is no Kafka in .+: start one with "bin\/caudal kafka start"$/m);
    const tool = await kafka('tool', 'topics', '--list');
    assert.equal(tool.code, 1);
    assert.match(tool.stderr, /^caudal: Kafka does not run: start it with .+, or give --bootstrap-server\n$/);
    assert.equal(await printed('stop'), 'Kafka does not run.\n');
  });

  test('starts, and says where it is and where its log is', async () => {
    const [port] = await choosePorts(1, 0, []);
    const stdout = await printed('start', '--port', String(port));
    assert.match(stdout, new RegExp(`^KAFKA_BROKERS=127\\.0\\.0\\.1:${port}$`, 'm'));
    assert.ok(stdout.includes(join('kafka', 'broker-1', 'kafka.log')), stdout);
    assert.match(
      await printed('start'),
      new RegExp(`^Kafka runs already\\.\n\nKAFKA_BROKERS=127\\.0\\.0\\.1:${port}$`, 'm'),
    );
    const { running, bootstrap, brokers } = JSON.parse(await printed('status', '--json'));
    assert.deepEqual([running, bootstrap, brokers[0].up], [true, [`127.0.0.1:${port}`], true]);
    assert.match(await printed('status'), new RegExp(`1 +up +127\\.0\\.0\\.1:${port} +${brokers[0].pid}`));
  });

  test("takes messages in and gives them out through Kafka's own tools", async () => {
    await printed('tool', 'topics', '--create', '--topic', 'trial', '--partitions', '3');
    assert.equal(await printed('tool', 'topics', '--list'), 'trial\n');
    await produce('trial', 'first\nsecond\n');
    const group = ['--group', 'readers', '--from-beginning', '--max-messages', '2'];
    const messages = await printed('tool', 'console-consumer', '--topic', 'trial', ...group);
    assert.deepEqual(messages.trim().split('\n').sort(), ['first', 'second']);
    assert.match(await printed('tool', 'consumer-groups', '--list'), /^readers$/m);
  });

  test("passes the tool's own options, help and exit code through", async () => {
    assert.equal((await printed('tool', 'topics', '--version')).trim(), '4.1.1');
    const { code } = await kafka('tool', 'topics', '--describe', '--topic', 'none');
    assert.equal(code, 1);
  });

  test('stops', async () => {
    assert.match(await printed('stop'), /^Kafka stopped/);
    const { code, stdout } = await kafka('status', '--json');
    assert.deepEqual([code, JSON.parse(stdout).running], [1, false]);
  });

  test('goes on with what a start left that was killed in the middle', async () => {
    const pidFile = join(dataDir, 'kafka', 'broker-1', 'broker.pid');
    const stale = await readFile(pidFile, 'utf8');
    const child = spawn(process.execPath, [PROGRAM, 'kafka', 'start'], {
      env: { PATH: process.env.PATH ?? '', ...env },
      stdio: 'ignore',
    });
    await until(
      'the broker has begun',
      async () => ![stale, ''].includes(await readFile(pidFile, 'utf8').catch(() => '')),
    );
    child.kill('SIGKILL');
    await once(child, 'close');
    assert.match(await printed('start'), /^Kafka runs already\./);
    assert.equal(JSON.parse(await printed('status', '--json')).running, true);
    await printed('stop');
  });

  test('is asked in a way that it understands', async () => {
    const wrong: readonly [readonly string[], RegExp][] = [
      [['start', '--brokers', '2'], /It must be 1 or 3/],
      [['start', '--heap', 'much'], /a size as 512m or 2g/],
      [['start', '--port', '70000'], /a whole number from 1 to 65530/],
      [['tool', 'nonsense'], /Allowed choices are console-consumer, /],
    ];
    for (const [args, message] of wrong) {
      const { code, stderr } = await kafka(...args);
      assert.match(stderr, message);
      assert.equal(code, 2, stderr);
    }
    const { code, stderr } = await runProgram(['kafka', 'start'], { ...env, CAUDAL_KAFKA_HEAP: 'much' });
    assert.deepEqual([code, stderr], [2, 'caudal: CAUDAL_KAFKA_HEAP=much: must be a size as 512m or 2g\n']);
  });
});
