import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { processExists } from '#kernel/postgres/embedded/lock-file.ts';
import type { ClusterView, InstanceView } from '../../src/cli/cluster/look.ts';
import { apiAt } from '../support/api.ts';
import { temporaryDataFolder } from '../support/data-folder.ts';
import { cacheDir } from '../support/kafka.ts';
import { pay, walletWith } from '../support/money.ts';
import { freePort, PROGRAM, runProgram } from '../support/program.ts';
import { until } from '../support/until.ts';

/** A cluster that was started, and what it printed so far. */
interface Cluster {
  readonly child: ChildProcess;
  readonly lines: readonly string[];
  readonly said: () => string;
  readonly ended: Promise<unknown[]>;
  readonly dataDir: string;
  readonly port: number;
}

const folders: string[] = [];
after(async () => {
  for (const folder of folders) await rm(folder, { recursive: true });
});

async function startCluster(...args: readonly string[]): Promise<Cluster> {
  const dataDir = await temporaryDataFolder();
  folders.push(dataDir);
  const port = await freePort();
  const child = spawn(process.execPath, [PROGRAM, 'cluster', ...args], {
    env: {
      PATH: process.env.PATH ?? '',
      ...(process.env.NODE_COMPILE_CACHE && { NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE }),
      CAUDAL_DATA: dataDir,
      CAUDAL_CACHE: cacheDir,
      CAUDAL_KAFKA_HEAP: '256m',
      PORT: String(port),
      SIMULATOR_PORT: '0',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  // Whatever it has started ends with it.
  process.on('exit', () => child.kill('SIGKILL'));
  const lines: string[] = [];
  createInterface({ input: child.stdout! }).on('line', (line) => lines.push(line));
  let said = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  return { child, lines, said: () => said, ended: once(child, 'exit'), dataDir, port };
}

/** Waits for what the cluster prints. */
function untilPrinted(what: string, cluster: Cluster, holds: () => boolean): Promise<void> {
  return until(what, () => {
    assert.equal(cluster.child.exitCode, null, cluster.said());
    return holds();
  });
}

/** The processes that a cluster has beside its instances, as their files tell. */
async function pidsIn(dataDir: string, ...files: readonly string[]): Promise<readonly number[]> {
  return Promise.all(files.map(async (file) => Number.parseInt(await readFile(join(dataDir, file), 'utf8'), 10)));
}

describe('a cluster with Kafka', () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await startCluster('--json', '--instances', 'payments=2');
  });

  const view = (): ClusterView => JSON.parse(cluster.lines.at(-1)!);
  const see = (what: string, holds: (view: ClusterView) => boolean): Promise<void> =>
    untilPrinted(what, cluster, () => cluster.lines.length > 0 && holds(view()));
  const instance = (name: string, from = view()): InstanceView => from.instances.find((one) => one.name === name)!;
  const partitionsOf = (name: string, from = view()): number => instance(name, from).partitions ?? 0;
  let all = 0;

  test('runs a process for each instance, and shows which partitions they have', async () => {
    await see('all of them work, and share', (now) => {
      const work = now.instances.every(({ state, partitions }) => state === 'ok' && partitions !== 0);
      const share = partitionsOf('payments-1', now) === partitionsOf('payments-2', now);
      return work && share && now.partitionsWithoutOwner === 0;
    });
    all = partitionsOf('payments-1') + partitionsOf('payments-2');
    const { instances, relayLag } = view();
    assert.deepEqual(
      instances.map(({ name }) => name),
      [
        'payments-1',
        'payments-2',
        'fraud-1',
        'wallets-1',
        'gateway-1',
        'metrics-1',
        'catalog-1',
        'inventory-1',
        'purchases-1',
        'api-1',
      ],
    );
    assert.equal(instances.filter(({ also }) => also.includes('relay')).length, 1);
    assert.equal(relayLag, 0);
    assert.equal(instance('api-1').url, `http://127.0.0.1:${cluster.port}`);
    assert.equal(instance('api-1').partitions, undefined);
    for (const { cpuSeconds, memoryBytes, pid } of instances) {
      assert.ok(cpuSeconds! > 0 && memoryBytes! > 1_000_000);
      assert.ok(processExists(pid!));
    }
  });

  test('carries payments from wallets and by card, and counts them', async () => {
    const api = apiAt(`http://127.0.0.1:${cluster.port}`);
    const user = await walletWith(api, '50.00');
    const payments = [await pay(api, { method: 'wallet', customer_id: user }), await pay(api, {})];
    assert.deepEqual(
      payments.map(({ status }) => status),
      ['APPROVED', 'APPROVED'],
    );
    await see('both are counted', ({ paymentsCompleted }) => paymentsCompleted === 2);
  });

  test('shows how the others take over from one that is killed, and starts it again', async () => {
    const { pid } = instance('payments-2');
    process.kill(pid!, 'SIGKILL');
    await see('its end is noticed', (now) => instance('payments-2', now).state === 'ended');
    assert.equal(instance('payments-2').reason, 'SIGKILL');
    assert.ok(instance('payments-2').againInSeconds! > 0);
    await see('the other has all partitions', (now) => partitionsOf('payments-1', now) === all);
    await see('it has partitions again', (now) => 2 * partitionsOf('payments-2', now) === all);
    assert.notEqual(instance('payments-2').pid, pid);
    assert.equal(instance('payments-2').restarts, 1);
    assert.equal(instance('payments-1').restarts, 0);
  });

  test('ends all of it when it is told to', async () => {
    const files = ['postgres/postmaster.pid', 'kafka/broker-1/broker.pid', 'simulator.pid'];
    const pids = [...view().instances.map(({ pid }) => pid!), ...(await pidsIn(cluster.dataDir, ...files))];
    assert.equal(pids.length, 13);
    for (const pid of pids) assert.ok(processExists(pid), String(pid));
    cluster.child.kill('SIGTERM');
    assert.deepEqual(await cluster.ended, [0, null], cluster.said());
    for (const pid of pids) assert.ok(!processExists(pid), String(pid));
    assert.match(cluster.said(), /^Stopped; the next start goes on with the same data\. Logs: .+\n$/m);
  });
});

describe('a cluster without Kafka', () => {
  test('writes a line for what changes, and leaves nothing behind when it is killed', async () => {
    const cluster = await startCluster('--no-kafka', '--instances', 'metrics=0');
    const { child, dataDir, lines } = cluster;
    const ok = / (\w+)-1 {2}ok {2}pid (\d+) {2}port \d+/;
    const running = (): Record<string, string> =>
      Object.fromEntries(lines.map((line) => ok.exec(line)?.slice(1) ?? []).filter(({ length }) => length > 0));
    await untilPrinted('all of them work', cluster, () => Object.keys(running()).length === 8);
    assert.ok(
      lines.some((line) => / 0 payments completed, 0\.0 a second {3}\d+ partitions without an owner$/.test(line)),
    );
    const pids = [
      ...Object.values(running()).map(Number),
      ...(await pidsIn(dataDir, 'postgres/postmaster.pid', 'simulator.pid')),
    ];
    child.kill('SIGKILL');
    await cluster.ended;
    await until('nothing is left', () => !pids.some(processExists));
  });

  test('says at once that its port is in use', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const { code, stderr } = await runProgram(['cluster'], { CAUDAL_DATA: '/nowhere', PORT: String(port) });
    server.close();
    assert.deepEqual([code, stderr.split(' (')[0]], [1, `caudal: port ${port} is not free`]);
  });
});

test('a cluster that cannot work is refused', async () => {
  const wrong: readonly [string, RegExp][] = [
    [
      'cashiers=1',
      /There is no role "cashiers"; known are payments, fraud, wallets, gateway, metrics, catalog, inventory, purchases, api\./,
    ],
    ['payments=many', /"payments=many" is not a role and a whole number, such as payments=2\./],
    ['payments', /"payments" is not a role and a whole number/],
    ['api=0', /api=0: without api payments stand still; only metrics, catalog, inventory, purchases can be 0\./],
    ['payments=1,payments=2', /payments is named twice\./],
    ['payments=10,wallets=3', /These are 20 processes; there may be 16 at most\./],
  ];
  for (const [instances, message] of wrong) {
    const { code, stderr } = await runProgram(['cluster', '--instances', instances], { CAUDAL_DATA: '/nowhere' });
    assert.match(stderr, message);
    assert.equal(code, 2, stderr);
  }
});
