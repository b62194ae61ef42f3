// npm test: types, linter, architecture rules, then every test of the project. Plain JavaScript, since it also installs.
//   npm test                                      everything
//   npm test -- --only tests/integration/x.test.ts   the test files whose path contains this, without the checks
// The acceptance tests are run once for each shape of the platform; CAUDAL_TEST_SHAPE=kafka npm test -- --only … for one of them.
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureInstalled, nodeProgram, root } from './setup.mjs';
import { ensureTestServers } from './test-servers.mjs';

const TEST_FOLDERS = ['bench', 'simulator', 'src', 'tests'];
const CONCURRENT_FILES = 2;
const TEST_LIMIT_MS = 5 * 60_000;
/** Of one that hangs: on a slow machine a run takes 28 minutes. */
const RUN_LIMIT_MS = 40 * 60_000;
const KILL_AFTER_MS = 5_000;

/** What must hold whatever the platform is made up of, and what it is made up of; see tests/support/platform.ts. */
const ACCEPTANCE = join('tests', 'e2e', 'acceptance');
const SHAPES = ['one process', 'processes', 'kafka'];

const CHECKS = {
  types: ['node_modules/typescript/bin/tsc', '--noEmit'],
  linter: ['node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '.'],
  architecture: ['tools/architecture.mjs'],
};

async function main() {
  const { values } = parseArgs({ options: { only: { type: 'string' } } });
  await ensureInstalled();
  const compiled = mkdtempSync(join(tmpdir(), 'caudal-compiled-'));
  process.env.NODE_COMPILE_CACHE = compiled;
  try {
    await runAll(values.only);
  } finally {
    rmSync(compiled, { recursive: true, force: true });
  }
}

async function runAll(only) {
  const files = testFiles(only);
  const acceptance = files.filter((file) => file.startsWith(ACCEPTANCE));
  const shapes = SHAPES.filter((shape) => shape === (process.env.CAUDAL_TEST_SHAPE ?? shape));
  await ensureTestServers(files, acceptance.length > 0 && shapes.includes('kafka'));
  const total = { passed: 0, failed: 0 };
  if (only === undefined) await runChecks(total);
  // Both wait for servers more than they compute: side by side they use the processors that there are.
  const others = files.filter((file) => !acceptance.includes(file));
  await Promise.all([runTests(others, total), runShapes(acceptance, shapes, total)]);
  console.log(`${total.passed} passed, ${total.failed} failed`);
  if (total.failed > 0 || total.passed === 0) process.exitCode = 1;
}

async function runShapes(files, shapes, total) {
  if (files.length === 0) return;
  for (const shape of shapes) {
    console.log(`\nThe acceptance tests on the shape "${shape}" begin.`);
    await runTests(files, total, { CAUDAL_TEST_SHAPE: shape });
  }
}

async function runChecks(total) {
  for (const [name, args] of Object.entries(CHECKS)) {
    const passed = (await runNode(args)) === 0;
    console.log(`${passed ? 'ok' : 'FAILED'}: ${name}`);
    total[passed ? 'passed' : 'failed'] += 1;
  }
}

/** All test files, or those whose path from the root contains `only`. */
function testFiles(only = '') {
  const files = TEST_FOLDERS.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true }).map((name) => join(folder, name)),
  ).filter((path) => path.endsWith('.test.ts'));
  const wanted = relative(root, join(root, only));
  return files.filter((path) => path.includes(wanted)).sort();
}

async function runTests(files, total, settings = {}) {
  if (files.length === 0) return;
  const folder = mkdtempSync(join(tmpdir(), 'caudal-results-'));
  const results = join(folder, 'counts.json');
  try {
    const reporters = [
      ['./tools/report-progress.mjs', 'stdout'],
      ['./tools/report-counts.mjs', results],
    ].flatMap(([reporter, to]) => [`--test-reporter=${reporter}`, `--test-reporter-destination=${to}`]);
    const limits = [`--test-concurrency=${CONCURRENT_FILES}`, `--test-timeout=${TEST_LIMIT_MS}`];
    const args = ['--test', '--import=./tools/exit-check.mjs', ...limits, ...reporters, ...files];
    const code = await runNode(args, settings);
    addCounts(total, results, code);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** In CI a test that was skipped is one that failed: there, all that the tests need is present. */
function addCounts(total, results, code) {
  const text = readFileSync(results, 'utf8');
  const { passed, failed, skipped } = text === '' ? { passed: 0, failed: 0, skipped: 0 } : JSON.parse(text);
  const counted = process.env.CI === 'true' ? failed + skipped : failed;
  total.passed += passed;
  total.failed += counted === 0 && code !== 0 ? 1 : counted;
  if (skipped > 0) console.log(`${skipped} skipped`);
}

/** Runs Node with these arguments in the project, in a process group of its own that ends with this process. */
function runNode(args, settings = {}) {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, ...settings, CAUDAL_TEST_CALLER: String(process.pid) };
    const stdio = ['ignore', 'inherit', 'inherit'];
    const child = spawn(nodeProgram(), args, { cwd: root, env, detached: true, stdio });
    const abort = () => {
      killGroup(child.pid, 'SIGTERM');
      setTimeout(killGroup, KILL_AFTER_MS, child.pid, 'SIGKILL').unref();
    };
    const limit = setTimeout(() => {
      console.log(`Not finished after ${RUN_LIMIT_MS / 60_000} minutes: ended.`);
      abort();
    }, RUN_LIMIT_MS);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, abort);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(limit);
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(signal, abort);
      resolve(code ?? 1);
    });
  });
}

function killGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

try {
  await main();
} catch (error) {
  console.error(`npm test: ${error.message}`);
  process.exitCode = 1;
}
