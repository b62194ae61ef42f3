// The servers that npm does not bring and tests need: Kafka, hence Java and Maven. Installed before the tests, so that no test's
// time limit suffers.
import { execFile, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { nodeProgram, root } from './setup.mjs';

const OLDEST_JAVA = 17;
const PACKAGES = ['openjdk-17-jre-headless', 'maven'];

/** Makes sure that what these test files need is installed; a file that needs Kafka says so. Throws an error whose message is for the user. */
export async function ensureTestServers(files, needsKafka) {
  if (!needsKafka && !files.some((file) => /kafka/i.test(readFileSync(join(root, file), 'utf8')))) return;
  const missing = await missingPrograms();
  if (missing.length > 0) await installPackages(missing.join(' and '));
  const code = await run(nodeProgram(), ['src/cli/main.ts', 'kafka', 'install']);
  if (code !== 0) throw new Error('Kafka is not installed, for the reason above, and tests need it.');
}

async function missingPrograms() {
  const missing = [];
  if (!((await javaMajor()) >= OLDEST_JAVA)) missing.push(`Java ${OLDEST_JAVA} or newer`);
  if (!(await runs('mvn', '--version'))) missing.push('Maven');
  return missing;
}

/** NaN when there is none. */
async function javaMajor() {
  const { JAVA_HOME } = process.env;
  const program = JAVA_HOME ? join(JAVA_HOME, 'bin', 'java') : 'java';
  const { stderr } = await promisify(execFile)(program, ['-version']).catch(() => ({ stderr: '' }));
  return Number(/version "(\d+)/.exec(stderr)?.[1]);
}

async function runs(program, ...args) {
  return promisify(execFile)(program, args).then(
    () => true,
    () => false,
  );
}

/** A fresh Debian in a container, where we are root, gets what is missing; on a machine of somebody's, he decides. */
async function installPackages(missing) {
  const how = `apt-get install ${PACKAGES.join(' ')}`;
  if (process.getuid?.() !== 0 || !existsSync('/etc/debian_version')) {
    throw new Error(`Tests run a real Kafka and need ${missing}, which this machine lacks. On Debian: ${how}`);
  }
  console.log(`Installing ${missing}, which tests of Kafka need (${how})…`);
  const options = ['-qq', '-o', 'Acquire::Retries=3', '-o', 'Dpkg::Use-Pty=0'];
  await apt([...options, 'update']);
  await apt([...options, 'install', '--yes', '--no-install-recommends', ...PACKAGES]);
  const still = await missingPrograms();
  if (still.length > 0) throw new Error(`There is still no ${still.join(' and no ')} after ${how}, and tests need it.`);
}

async function apt(args) {
  const code = await run('apt-get', args, { DEBIAN_FRONTEND: 'noninteractive' });
  if (code !== 0) throw new Error(`apt-get ${args.at(-1)} ended with code ${code}, for the reason above.`);
}

function run(program, args, env = {}) {
  return new Promise((resolve, reject) => {
    // Standard output is for results of tests.
    const child = spawn(program, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 1));
  });
}
