import { spawn } from 'node:child_process';
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { withLockFile } from '#kernel/postgres/embedded/lock-file.ts';
import { findJava, findMaven } from './java.ts';

export const KAFKA_VERSION = '4.1.1';

const POM = join(import.meta.dirname, 'pom.xml');
const MARKER = 'installed.json';
const DRAFT_MARK = '.draft-';
const MAVEN_LIMIT_MS = 15 * 60_000;
/** Maven's own limits are half an hour. */
const CONNECT_LIMIT_MS = 15_000;
const ANSWER_LIMIT_MS = 60_000;

/** Where the supervisor tells what it does; pino's loggers fit. */
export interface KafkaLog {
  info(message: string): void;
  warn(message: string): void;
}

/** An installed Kafka, and what runs it. */
export interface Installation {
  readonly java: string;
  /** For `java -cp`. */
  readonly classpath: string;
}

/** Written last: the POM that was installed, and the sizes of its jars in bytes. */
interface Marker {
  readonly pom: string;
  readonly jars: Readonly<Record<string, number>>;
}

/**
 * Finds Kafka in `<cacheDir>/kafka-<version>`, or lets Maven bring it there. It is made under another name and renamed when
 * complete; what lacks a jar is made anew. Processes that want it at once wait for one of them.
 * @throws Error with a reason that a person can act on: no Java, no Maven, no way to Maven's repository, no right to write
 */
export async function ensureKafka(cacheDir: string, log: KafkaLog): Promise<Installation> {
  const folder = join(cacheDir, `kafka-${KAFKA_VERSION}`);
  const installed = await isWhole(folder);
  const [java, maven] = await Promise.allSettled([findJava(), installed ? undefined : findMaven()]);
  if (java.status === 'rejected' || maven.status === 'rejected') {
    // Each on a line of its own, so that one look tells all that is to be installed.
    const problems = [java, maven].filter((result) => result.status === 'rejected');
    throw new Error(problems.map(({ reason }) => (reason as Error).message).join('\n'));
  }
  if (maven.value !== undefined) await installOnce(folder, maven.value, log);
  return { java: java.value, classpath: join(folder, 'libs', '*') };
}

/** Whether all that Maven resolved is there; a jar that was cut short by a full disk or a power cut is not. */
async function isWhole(folder: string): Promise<boolean> {
  const [pom, text] = await Promise.all([
    readFile(POM, 'utf8'),
    readFile(join(folder, MARKER), 'utf8').catch(() => ''),
  ]);
  if (text === '') return false;
  const marker: Marker = JSON.parse(text);
  if (marker.pom !== pom) return false;
  const found = await sizesIn(join(folder, 'libs')).catch(() => ({}) as Marker['jars']);
  return Object.entries(marker.jars).every(([name, size]) => found[name] === size);
}

async function sizesIn(folder: string): Promise<Marker['jars']> {
  const names = await readdir(folder);
  const sizes = names.map(async (name) => [name, (await stat(join(folder, name))).size] as const);
  return Object.fromEntries(await Promise.all(sizes));
}

async function installOnce(folder: string, maven: string, log: KafkaLog): Promise<void> {
  try {
    await mkdir(dirname(folder), { recursive: true });
    await withLockFile(`${folder}.lock`, async () => {
      if (!(await isWhole(folder))) await install(folder, maven, log);
    });
  } catch (cause) {
    const error = cause as NodeJS.ErrnoException;
    if (!['EACCES', 'EPERM', 'EROFS', 'EEXIST', 'ENOTDIR', 'ENOSPC'].includes(error.code ?? '')) throw error;
    const hint = 'Set CAUDAL_CACHE to a folder that you can write to.';
    throw new Error(`Kafka cannot be kept in ${dirname(folder)}: ${error.message}. ${hint}`, { cause });
  }
}

/** To be called under the lock: whatever drafts there are were left by processes that died. */
async function install(folder: string, maven: string, log: KafkaLog): Promise<void> {
  log.info(`Installing Apache Kafka ${KAFKA_VERSION} with Maven (44 MB, once)…`);
  const start = Date.now();
  await removeDrafts(folder);
  const draft = `${folder}${DRAFT_MARK}${process.pid}`;
  await mkdir(draft);
  try {
    await copyFile(POM, join(draft, 'pom.xml'));
    await runMaven(maven, draft);
    const jars = await sizesIn(join(draft, 'libs')).catch(() => ({}) as Marker['jars']);
    assertComplete(jars);
    const marker: Marker = { pom: await readFile(POM, 'utf8'), jars };
    await writeFile(join(draft, MARKER), JSON.stringify(marker));
    await rm(folder, { recursive: true, force: true });
    await rename(draft, folder);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  log.info(`Installed in ${Math.round((Date.now() - start) / 1000)} s.`);
}

async function removeDrafts(folder: string): Promise<void> {
  for (const entry of await readdir(dirname(folder))) {
    // A Maven whose parent was killed may still be writing here, hence the retries.
    const options = { recursive: true, force: true, maxRetries: 10 };
    if (entry.startsWith(basename(folder) + DRAFT_MARK)) await rm(join(dirname(folder), entry), options);
  }
}

/** Maven ends with an error when a jar is missing; this finds a Maven that was told by its settings to do something else. */
function assertComplete(jars: Marker['jars']): void {
  for (const name of [`kafka_2.13-${KAFKA_VERSION}.jar`, `kafka-tools-${KAFKA_VERSION}.jar`]) {
    if (jars[name] === undefined) throw new Error(`Kafka was not installed: Maven ended well, but left out ${name}`);
  }
}

/** Checksums are strict: Maven would only warn of a jar that is not what its repository says. */
function runMaven(maven: string, folder: string): Promise<void> {
  const args = ['--batch-mode', '--quiet', '--strict-checksums', '--file', join(folder, 'pom.xml')];
  args.push('dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${join(folder, 'libs')}`);
  args.push(`-Dkafka.version=${KAFKA_VERSION}`, '-Dstyle.color=never');
  args.push(`-Daether.connector.connectTimeout=${CONNECT_LIMIT_MS}`);
  args.push(`-Daether.connector.requestTimeout=${ANSWER_LIMIT_MS}`);
  return new Promise((resolve, reject) => {
    const child = spawn(maven, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], timeout: MAVEN_LIMIT_MS });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve();
      else
        reject(new Error(`Kafka was not installed: Maven ended with ${signal ?? `code ${code}`}: ${reasonIn(output)}`));
    });
  });
}

/** The first error that Maven reports, without its references to further reading. */
function reasonIn(output: string): string {
  const lines = output.split('\n').map((line) => line.trim());
  const error = lines.find((line) => /\[ERROR\] \S/.test(line)) ?? lines.findLast((line) => line !== '');
  return (error ?? 'it gave no reason').replace(/^.*\[ERROR\] /, '').replace(/( ->)? \[Help \d+\]$/, '');
}
