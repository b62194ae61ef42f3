import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chown, mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { PostgresBinaries } from './binaries.ts';
import { type Account, commandAs } from './run-as.ts';

export const SUPERUSER = 'caudal';
export const DATABASE = 'caudal';
const DRAFT_MARK = '.initdb-';

/**
 * Makes `dataDir` a PostgreSQL data folder (UTF-8, the locale C.UTF-8, checksums, passwords required) unless it is one, and
 * checks that this PostgreSQL can use it. It is made under another name and renamed when complete, so an interrupted attempt
 * leaves nothing that looks finished. To be called under the data folder's lock.
 */
export async function ensureCluster(
  dataDir: string,
  password: string,
  binaries: PostgresBinaries,
  account: Account | undefined,
): Promise<void> {
  await removeDrafts(dataDir);
  const major = await clusterMajor(dataDir);
  if (major === undefined) await createCluster(dataDir, password, binaries, account);
  else if (major !== binaries.major) throw new Error(wrongMajor(dataDir, major, binaries.major));
}

async function clusterMajor(dataDir: string): Promise<number | undefined> {
  const entries = await readdir(dataDir).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw new Error(`The PostgreSQL data folder ${dataDir} cannot be read: ${error.message}`, { cause: error });
  });
  if (entries.length === 0) return undefined;
  if (entries.includes('PG_VERSION')) return Number.parseInt(await readFile(join(dataDir, 'PG_VERSION'), 'utf8'), 10);
  throw new Error(`${dataDir} holds files that are not PostgreSQL's: remove it, or set CAUDAL_DATA to another folder.`);
}

function wrongMajor(dataDir: string, found: number, ours: number): string {
  const made = `The data folder ${dataDir} was made by PostgreSQL ${found}, and this version of Caudal brings ${ours}`;
  return found > ours
    ? `${made}: use a newer Caudal, or set CAUDAL_DATA to another folder.`
    : `${made}: upgrade it with pg_upgrade, or set CAUDAL_DATA to another folder.`;
}

async function removeDrafts(dataDir: string): Promise<void> {
  const parent = dirname(dataDir);
  for (const entry of await readdir(parent)) {
    // An initdb whose parent was killed may still be writing here, hence the retries.
    const options = { recursive: true, force: true, maxRetries: 10 };
    if (entry.startsWith(basename(dataDir) + DRAFT_MARK)) await rm(join(parent, entry), options);
  }
}

async function createCluster(
  dataDir: string,
  password: string,
  binaries: PostgresBinaries,
  account: Account | undefined,
): Promise<void> {
  const draft = `${dataDir}${DRAFT_MARK}${process.pid}`;
  const cluster = join(draft, 'data');
  const passwordFile = join(draft, 'password');
  await mkdir(draft, { mode: 0o700 });
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (account !== undefined) {
    for (const path of [draft, passwordFile]) await chown(path, account.uid, account.gid);
  }
  const options = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
  options.push('--data-checksums', '--auth=scram-sha-256', `--username=${SUPERUSER}`, `--pwfile=${passwordFile}`);
  const command = [binaries.initdb, `--pgdata=${cluster}`, ...options];
  await run(...commandAs(account, [binaries.initdb, cluster], command), draft);
  await rename(cluster, dataDir);
  await syncFolder(dirname(dataDir));
  await rm(draft, { recursive: true });
}

/** After a power cut the folder must not be found under its draft's name, and removed, with payments in it. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function run(program: string, args: string[], cwd: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, stdio: ['ignore', 'ignore', 'pipe'] });
    let complaint = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint += text;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      const reason = complaint.trim().replaceAll('\n', ' ') || 'it gave no reason';
      if (code === 0) resolve();
      else reject(new Error(`initdb ended with ${signal ?? `code ${code}`}: ${reason}`));
    });
  });
}

/** The superuser's password, kept in `<dataDir>.password`, which only its owner can read; made before the data folder is. */
export async function ensurePassword(dataDir: string): Promise<string> {
  const path = `${dataDir}.password`;
  if (existsSync(path)) return readFile(path, 'utf8');
  if (existsSync(join(dataDir, 'PG_VERSION'))) {
    throw new Error(
      `${path} is missing, which holds the password for ${dataDir}: put it back, or remove that folder too.`,
    );
  }
  const draft = `${path}.draft`;
  const password = randomBytes(24).toString('base64url');
  await writeFile(draft, password, { mode: 0o600 });
  await rename(draft, path);
  return password;
}
