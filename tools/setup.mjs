// Installs what Caudal needs, Node 24 included, when that is not done yet. Runs before everything else, on any Node from 20 on:
// hence plain JavaScript without dependencies.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { open, rm, stat, utimes } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const OLDEST_NODE = 20;
const NODE_FOR_TYPESCRIPT = 24;
const HEARTBEAT_MS = 1_000;
const STALE_AFTER_MS = 10_000;

export const root = fileURLToPath(new URL('..', import.meta.url));
const modules = join(root, 'node_modules');
const lockFile = join(root, '.install.lock');
const ownMajor = Number.parseInt(process.versions.node, 10);

/** The Node that runs TypeScript: the installed one, else (no package for this platform) the one that runs this. */
export function nodeProgram() {
  const installed = join(modules, '.bin', 'node');
  return existsSync(installed) ? installed : process.execPath;
}

/** Runs `npm ci` unless what package-lock.json asks for is installed. Throws an error whose message is for the user. */
export async function ensureInstalled() {
  if (ownMajor < OLDEST_NODE) throw new Error(`Caudal needs Node ${OLDEST_NODE} or newer; this is ${process.version}.`);
  if (!isInstalled()) await withInstallLock(() => (isInstalled() ? undefined : install()));
  if (nodeProgram() === process.execPath && ownMajor < NODE_FOR_TYPESCRIPT) {
    const platform = `${process.platform}-${process.arch}`;
    throw new Error(
      `Caudal brings no Node ${NODE_FOR_TYPESCRIPT} for ${platform}: start it with one that you install.`,
    );
  }
}

/** Compares package-lock.json with npm's own record of what it installed, which it writes last. */
function isInstalled() {
  const wanted = readJson(join(root, 'package-lock.json'))?.packages;
  const installed = readJson(join(modules, '.package-lock.json'))?.packages;
  if (wanted === undefined || installed === undefined) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '') return true;
    const version = installed[path]?.version;
    return (
      version === entry.version || (version === undefined && entry.optional === true && !isRequiredHere(path, wanted))
    );
  });
}

/** npm leaves out an optional package without a word when it cannot get it; ours for this platform we cannot do without. */
function isRequiredHere(path, wanted) {
  const name = path.slice('node_modules/'.length);
  const { os, cpu } = wanted[path];
  const forThisPlatform = os?.includes(process.platform) && cpu?.includes(process.arch);
  return forThisPlatform === true && name in wanted[''].optionalDependencies;
}

function readJson(path) {
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
}

async function install() {
  console.log('Installing Caudal and its Node and PostgreSQL (npm ci, about 150 MB, once)…');
  const start = Date.now();
  const args = ['ci', '--include=dev', '--include=optional', '--engine-strict=false', '--no-audit', '--no-fund'];
  const { code, output } = await run('npm', [...args, '--loglevel=error']);
  if (code !== 0) throw new Error(`${output.trim()}\nThe installation failed: npm ci ended with code ${code}.`);
  if (!isInstalled())
    throw new Error('The installation is incomplete: npm ci left out a package. Run npm ci to see why.');
  console.log(`Installed in ${Math.round((Date.now() - start) / 1_000)} s.`);
}

function run(program, args) {
  return new Promise((resolve, reject) => {
    const shell = process.platform === 'win32';
    const child = spawn(program, args, { cwd: root, env: ownEnvironment(), shell, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text;
      });
    }
    child.on('error', (error) => reject(new Error(`npm cannot be run: ${error.message}`)));
    child.on('close', (code, signal) => resolve({ code: code ?? signal, output }));
  });
}

/** npm must not run on the Node inside node_modules, which it is about to remove. */
function ownEnvironment() {
  const path = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== join(modules, '.bin'));
  return { ...process.env, PATH: path.join(delimiter) };
}

/** Two starts at once on a fresh clone: one installs, the other waits. A killed installer is known by its missing heartbeat. */
async function withInstallLock(work) {
  let waited = false;
  while (!(await tryLock())) {
    if (!waited) console.log('Another start is installing: waiting for it…');
    waited = true;
    const age = Date.now() - (await stat(lockFile).then((file) => file.mtimeMs, Date.now));
    if (age > STALE_AFTER_MS) await rm(lockFile, { force: true });
    else await sleep(HEARTBEAT_MS / 4);
  }
  // A heartbeat that cannot be written only makes the lock look dead.
  const heartbeat = setInterval(() => utimes(lockFile, new Date(), new Date()).catch(() => {}), HEARTBEAT_MS);
  try {
    await work();
  } finally {
    clearInterval(heartbeat);
    await rm(lockFile, { force: true });
  }
}

async function tryLock() {
  try {
    const file = await open(lockFile, 'wx');
    await file.close();
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw new Error(`Caudal cannot be installed in ${root}: ${error.message}`);
  }
}

if (realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    await ensureInstalled();
  } catch (error) {
    console.error(`caudal: ${error.message}`);
    process.exitCode = 1;
  }
}
