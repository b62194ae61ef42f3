import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, describe, test } from 'node:test';
import { type Kafka, kafkaStatus, stopKafka } from '#kernel/bus/kafka/server/cluster.ts';
import { processExists } from '#kernel/postgres/embedded/lock-file.ts';
import { temporaryDataFolder } from '../support/data-folder.ts';
import { cacheDir, openKafka, sharedKafka, startIn } from '../support/kafka.ts';
import { runProgram } from '../support/program.ts';
import { until } from '../support/until.ts';

const OWNER = join(import.meta.dirname, '..', 'support', 'kafka-owner.ts');
const quiet = { info: () => {}, warn: () => {} };

/** Runs one of Kafka's tools on the first broker. @returns what it printed */
async function tool({ bootstrap }: Kafka, name: string, ...args: readonly string[]): Promise<string> {
  const run = await runProgram(['kafka', 'tool', name, '--bootstrap-server', bootstrap[0]!, ...args], {
    CAUDAL_CACHE: cacheDir,
  });
  assert.equal(run.code, 0, run.stderr + run.stdout);
  return run.stdout;
}

/** What is up in the data folder, by broker. */
async function upIn(folder: string): Promise<readonly boolean[] | undefined> {
  return (await kafkaStatus(join(folder, 'kafka')))?.map(({ up }) => up);
}

describe('one broker', async () => {
  const folder = await temporaryDataFolder();
  const dataDir = join(folder, 'kafka');
  after(async () => {
    await stopKafka(dataDir, quiet);
    await rm(folder, { recursive: true });
  });

  test('is made at the first start, and takes connections when the start returns', async () => {
    assert.equal(await upIn(folder), undefined);
    const kafka = await startIn(folder);
    const [broker] = kafka.brokers;
    assert.deepEqual([kafka.started, kafka.bootstrap], [[1], [`127.0.0.1:${broker!.port}`]]);
    assert.deepEqual(await kafkaStatus(dataDir), [{ ...broker, up: true }]);
    await tool(kafka, 'topics', '--create', '--topic', 'kept', '--partitions', '2');
  });

  test('is left alone by a second start, which tells where it is', async () => {
    const [before] = (await kafkaStatus(dataDir))!;
    const kafka = await startIn(folder);
    assert.deepEqual(kafka.started, []);
    assert.equal(kafka.brokers[0]!.pid, before!.pid);
  });

  test('does not become three, nor move to another port while it runs', async () => {
    await assert.rejects(
      startIn(folder, { brokers: 3 }),
      /has 1 broker and cannot become one of 3 brokers: start it with 1/,
    );
    await assert.rejects(
      startIn(folder, { port: 14_000 }),
      /runs already, on port \d+: stop it before it can start on/,
    );
  });

  test('goes on with its data and port after a stop, and after a kill', async () => {
    const first = await startIn(folder);
    await first.stop();
    assert.deepEqual(await upIn(folder), [false]);
    const second = await startIn(folder);
    assert.deepEqual([second.started, second.bootstrap], [[1], first.bootstrap]);
    await second.killBroker(1);
    assert.deepEqual([await upIn(folder), second.brokers[0]!.pid], [[false], undefined]);
    const third = await startIn(folder);
    assert.deepEqual([third.started, third.bootstrap], [[1], first.bootstrap]);
    assert.equal(await tool(third, 'topics', '--list'), 'kept\n');
    await third.stop();
  });

  test('is not mistaken for the program that has its process id by now', async () => {
    const pidFile = join(dataDir, 'broker-1', 'broker.pid');
    await writeFile(pidFile, String(process.pid));
    assert.deepEqual(await upIn(folder), [false]);
    assert.deepEqual(await stopKafka(dataDir, quiet), []);
  });

  test('takes other ports when its own were taken meanwhile, but not when it was told to take these', async () => {
    const [before] = (await kafkaStatus(dataDir))!;
    // That of its controller.
    const squatter = createServer().listen(before!.port + 1, '127.0.0.1');
    await once(squatter, 'listening');
    await assert.rejects(startIn(folder, { port: before!.port }), new RegExp(`Port ${before!.port + 1} is in use`));
    const kafka = await startIn(folder);
    squatter.close();
    assert.notEqual(kafka.brokers[0]!.port, before!.port);
    assert.deepEqual(await upIn(folder), [true]);
    await kafka.stop();
  });

  test('says why it does not start, in the words of Java or of Kafka', async () => {
    await assert.rejects(startIn(folder, { heap: '1x' }), /Broker 1 did not start: Invalid maximum heap size: -Xmx1x/);
    const meta = join(dataDir, 'broker-1', 'data', 'meta.properties');
    const text = await readFile(meta, 'utf8');
    await writeFile(meta, text.replace('node.id=1', 'node.id=7'));
    await assert.rejects(startIn(folder), /Broker 1 did not start: .*node.*7.* \(log: .+kafka\.log\)/);
    await writeFile(meta, text);
    assert.deepEqual(await upIn(folder), [false]);
  });
});

describe('a folder that is not of Kafka', () => {
  test('is not touched', async (t) => {
    const folder = await temporaryDataFolder();
    t.after(() => rm(folder, { recursive: true }));
    await writeFile(join(folder, 'kafka'), 'a file');
    await assert.rejects(startIn(folder), /ENOTDIR|not a directory/);
    assert.equal(await readFile(join(folder, 'kafka'), 'utf8'), 'a file');
  });
});

describe('three brokers', () => {
  test('keep three copies, lose one without loss, and take it back', async (t) => {
    const kafka = await openKafka(t, { brokers: 3 });
    assert.equal(new Set(kafka.bootstrap).size, 3);
    await tool(kafka, 'topics', '--create', '--topic', 'safe', '--partitions', '3');
    assert.match(
      await tool(kafka, 'topics', '--describe', '--topic', 'safe'),
      /ReplicationFactor: 3.+insync.replicas=2/,
    );
    await kafka.killBroker(3);
    assert.equal(await tool(kafka, 'topics', '--list'), 'safe\n');
    await kafka.startBroker(3);
    await kafka.stopBroker(2);
    assert.deepEqual(
      kafka.brokers.map(({ pid }) => pid !== undefined),
      [true, false, true],
    );
    await kafka.startBroker(2);
    await assert.rejects(kafka.startBroker(4), /no broker 4/);
  });
});

describe('a broker that wants credentials', () => {
  test('lets in who has them, and nobody else', async (t) => {
    const kafka = await openKafka(t, { sasl: { username: 'ana', password: 'right' } });
    const settings = join(kafka.brokers[0]!.logFile, '..', 'client.properties');
    const login = async (password: string) => {
      const jaas = `org.apache.kafka.common.security.plain.PlainLoginModule required username="ana" password="${password}";`;
      const lines = ['security.protocol=SASL_PLAINTEXT', 'sasl.mechanism=PLAIN', `sasl.jaas.config=${jaas}`];
      await writeFile(settings, lines.join('\n'));
      return tool(kafka, 'topics', '--command-config', settings, '--list');
    };
    assert.equal((await login('right')).trim(), '');
    await assert.rejects(login('wrong'), /Authentication failed/);
  });
});

describe('brokers of a test', () => {
  test('are shared by the tests of a process', async () => {
    const kafka = await sharedKafka();
    assert.equal(await sharedKafka(), kafka);
    assert.equal((await sharedKafka()).brokers.length, 1);
  });

  test('end with their process, even when it is killed', async (t) => {
    const folder = await temporaryDataFolder();
    t.after(() => rm(folder, { recursive: true }));
    const owner = spawn(process.execPath, [OWNER, folder], { stdio: ['pipe', 'pipe', 'inherit'] });
    const failed = once(owner, 'exit').then(([code]) => assert.fail(`the owner ended with code ${code}`));
    const [line] = await Promise.race([once(createInterface(owner.stdout), 'line'), failed]);
    failed.catch(() => undefined);
    const { pid } = JSON.parse(line);
    assert.deepEqual(await upIn(folder), [true]);
    owner.kill('SIGKILL');
    await until('the broker is gone', async () => (await upIn(folder))?.[0] === false);
    assert.equal(await isBroker(pid), false);
  });
});

/** A process that nobody waits for may stay on as a zombie, which has no command line. */
async function isBroker(pid: number): Promise<boolean> {
  return processExists(pid) && (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')) !== '';
}
