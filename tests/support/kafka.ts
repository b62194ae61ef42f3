import { spawn } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, type TestContext } from 'node:test';
import { type Kafka, type KafkaOptions, startKafka } from '#kernel/bus/kafka/server/cluster.ts';
import { readConfig } from '#src/config.ts';
import { onEnd } from './cleanup.ts';
import { openFolder, temporaryDataFolder } from './data-folder.ts';
import { PROGRAM } from './program.ts';

/** Stops the brokers that the command line started and removes the folder, when the process at the other end is gone. */
const GUARDIAN = `
  cat > /dev/null
  [ -d "$1" ] || exit 0
  CAUDAL_DATA="$1" "$2" "$3" kafka stop
  rm -rf "$1"`;

/** Where Kafka is installed: tools/test-servers.mjs sees to it before the tests. */
export const { cacheDir } = readConfig(process.env);

/** Tests keep little, and no broker of theirs lives long enough for what makes Java start slowly to pay. */
const TEST_HEAP = '256m';
const QUICK_START = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];

const quiet = { info: () => {}, warn: console.warn };

let shared: Promise<Kafka> | undefined;
let folder: string | undefined;

// At the top level of the test file that imports this, hence after its last test.
after(async () => {
  const kafka = await shared;
  await kafka?.stop();
  if (folder !== undefined) await rm(folder, { recursive: true });
});

/**
 * The broker that all tests of this process share: the real one, on a free port and in a temporary folder. It is stopped after the
 * last test, and also when the process is killed.
 */
export function sharedKafka(): Promise<Kafka> {
  shared ??= startShared();
  return shared;
}

async function startShared(): Promise<Kafka> {
  folder = await temporaryDataFolder();
  return startIn(folder);
}

/** Starts a cluster of this test's own, and stops and removes it after the test. Default: one broker without passwords. */
export async function openKafka(
  t: TestContext,
  options: Pick<KafkaOptions, 'brokers' | 'sasl' | 'tls'> = {},
): Promise<Kafka> {
  const own = await temporaryDataFolder();
  onEnd(t, () => rm(own, { recursive: true }));
  const kafka = await startIn(own, options);
  // What they keep goes with the folder: three brokers would take 5 s to stop in good order.
  onEnd(t, async () => {
    for (const { id } of kafka.brokers) await kafka.killBroker(id);
  });
  return kafka;
}

/** Starts Kafka in a folder for CAUDAL_DATA. It ends with this process. */
export function startIn(dataDir: string, options: Partial<KafkaOptions> = {}): Promise<Kafka> {
  return startKafka({
    dataDir: join(dataDir, 'kafka'),
    cacheDir,
    log: quiet,
    lifetime: 'caller',
    port: 0,
    heap: TEST_HEAP,
    javaOptions: QUICK_START,
    ...options,
  });
}

/** A folder for the CAUDAL_DATA of "kafka start", whose brokers outlive it: they end with this process, however that ends. */
export async function folderForBrokers(): Promise<string> {
  const path = await openFolder();
  const guardian = spawn('sh', ['-c', GUARDIAN, 'sh', path, process.execPath, PROGRAM], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  guardian.unref();
  (guardian.stdin as unknown as { unref(): void }).unref();
  return path;
}
