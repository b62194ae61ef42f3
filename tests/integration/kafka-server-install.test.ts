import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { KAFKA_VERSION } from '#kernel/bus/kafka/server/install.ts';
import { type Run, runProgram } from '../support/program.ts';

const JARS = [`kafka_2.13-${KAFKA_VERSION}.jar`, `kafka-tools-${KAFKA_VERSION}.jar`, 'other.jar'];
/** What every Maven of these tests does first: note that it was called. */
const NOTE = 'echo called >> "$CALLS"';
/** Finds the folder that it is to fill, as Maven does. */
const OUTPUT = `for arg in "$@"; do case $arg in -DoutputDirectory=*) out=\${arg#*=} ;; esac; done; mkdir "$out"`;
const fill = (jars: readonly string[]) => jars.map((jar) => `echo content > "$out/${jar}"`);

/** A PATH with the programs that a test puts there, and those of a shell; Java and Maven are not the machine's own. */
describe('the installation of Kafka', () => {
  let folder: string;
  let bin: string;
  let cache: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'caudal-kafka-'));
    bin = join(folder, 'bin');
    cache = join(folder, 'cache');
    await mkdir(bin);
    for (const name of ['mkdir', 'sleep']) await symlink(`/bin/${name}`, join(bin, name));
  });

  afterEach(() => rm(folder, { recursive: true }));

  async function program(path: string, ...lines: readonly string[]): Promise<void> {
    await writeFile(path, `#!/bin/sh\n${lines.join('\n')}\n`);
    await chmod(path, 0o755);
  }

  const java = (version: string, path = join(bin, 'java')) => program(path, `echo 'openjdk version "${version}"' >&2`);
  const maven = (...lines: readonly string[]) => program(join(bin, 'mvn'), NOTE, ...lines);
  const goodMaven = () => maven(OUTPUT, 'sleep 1', ...fill(JARS));

  function install(env: Readonly<Record<string, string>> = {}): Promise<Run> {
    return runProgram(['kafka', 'install'], { PATH: bin, CAUDAL_CACHE: cache, CALLS: join(folder, 'calls'), ...env });
  }

  async function calls(): Promise<number> {
    return (await readFile(join(folder, 'calls'), 'utf8')).trim().split('\n').length;
  }

  async function fails(message: RegExp, env: Readonly<Record<string, string>> = {}): Promise<void> {
    const { code, stdout, stderr } = await install(env);
    assert.match(stderr, message);
    assert.deepEqual([code, stdout], [1, '']);
  }

  test('says what to install when there is no Java and no Maven, in a line each', async () => {
    await fails(
      /^caudal: Java 17 or newer is needed to run Kafka, and there is none: apt-get install openjdk-17-.+\nMaven is needed .+: apt-get install maven\n$/,
    );
    const start = await runProgram(['kafka', 'start'], { PATH: bin, CAUDAL_CACHE: cache, CAUDAL_DATA: folder });
    assert.equal(start.code, 1);
    assert.match(start.stderr, /^caudal: Java 17 or newer is needed/);
  });

  test('says which one is missing, or too old', async () => {
    await java('17.0.2');
    await fails(
      /^caudal: Maven is needed to install Kafka, and there is no "mvn" on the PATH: apt-get install maven\n$/,
    );
    await goodMaven();
    await java('11.0.20');
    await fails(/^caudal: Java 17 or newer is needed to run Kafka, and .+\/bin\/java is 11: apt-get install .+\n$/);
    await java('1.8.0_392');
    await fails(/^caudal: Java 17 or newer/);
  });

  test('takes the Java of JAVA_HOME rather than the one on the PATH', async () => {
    const home = join(folder, 'jdk');
    await goodMaven();
    await java('11.0.20');
    await fails(/^caudal: Java 17 or newer .+ JAVA_HOME is .+jdk, which has no bin\/java\n$/, { JAVA_HOME: home });
    await mkdir(join(home, 'bin'), { recursive: true });
    await java('21', join(home, 'bin', 'java'));
    assert.equal((await install({ JAVA_HOME: home })).code, 0);
  });

  test('is made once, and by one of two that want it at the same time', async () => {
    await java('17.0.2');
    await goodMaven();
    const runs = await Promise.all([install(), install()]);
    assert.deepEqual(runs.map(({ code, stderr }) => [code, stderr.includes('Installing')]).sort(), [
      [0, false],
      [0, true],
    ]);
    assert.equal((await install()).stderr, '');
    assert.equal(await calls(), 1);
    assert.deepEqual(await readdir(cache), [`kafka-${KAFKA_VERSION}`]);
  });

  test('is made again when a jar is missing or cut short', async () => {
    await java('17.0.2');
    await goodMaven();
    await install();
    const libs = join(cache, `kafka-${KAFKA_VERSION}`, 'libs');
    await rm(join(libs, 'other.jar'));
    assert.equal((await install()).code, 0);
    await truncate(join(libs, 'other.jar'), 3);
    assert.equal((await install()).code, 0);
    assert.equal(await calls(), 3);
    assert.deepEqual((await readdir(libs)).sort(), [...JARS].sort());
  });

  test('leaves nothing that looks finished when it fails, says why, and can be tried again', async () => {
    await java('17.0.2');
    await maven(OUTPUT, ...fill(JARS.slice(1)), 'echo "[ERROR] No way to the repository -> [Help 1]"', 'exit 1');
    await fails(/^caudal: Kafka was not installed: Maven ended with code 1: No way to the repository$/m);
    await maven(OUTPUT, ...fill(JARS.slice(1)));
    await fails(/^caudal: Kafka was not installed: Maven ended well, but left out kafka_2\.13-.+\.jar$/m);
    assert.deepEqual(await readdir(cache), []);
    // What a process left that was killed in the middle.
    await mkdir(join(cache, `kafka-${KAFKA_VERSION}.draft-1`));
    await mkdir(join(cache, `kafka-${KAFKA_VERSION}`, 'libs'), { recursive: true });
    await goodMaven();
    assert.equal((await install()).code, 0);
    assert.deepEqual(await readdir(cache), [`kafka-${KAFKA_VERSION}`]);
  });

  test('says that the cache cannot be written to', async () => {
    await java('17.0.2');
    await goodMaven();
    await writeFile(cache, 'a file');
    await fails(
      /^caudal: Kafka cannot be kept in .+cache: .+\. Set CAUDAL_CACHE to a folder that you can write to\.\n$/,
    );
  });
});
