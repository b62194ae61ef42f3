import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { CliError } from '../../src/cli/failure.ts';

/** What is installed for a run, and only for it: the tools that others would take, and what they ask to have beside them. */
export const PACKAGES = {
  '@dbos-inc/dbos-sdk': '5.3.0',
  '@event-driven-io/dumbo': '0.12.7',
  '@event-driven-io/emmett': '0.42.0',
  '@event-driven-io/emmett-postgresql': '0.42.0',
  '@event-driven-io/pongo': '0.16.11',
  pg: '8.23.1',
} as const;

const INSTALL_LIMIT_MS = 300_000;
const NPM_INSTALL = ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error', '--fetch-retries=1'];
const FETCH_RETRY = ['--fetch-retry-mintimeout=1000', '--fetch-timeout=60000'];
const CANNOT_RUN = 2;

/**
 * Installs the packages by npm into a temporary folder for as long as `work` runs.
 * @throws CliError exit code 2, when npm cannot: without network, say
 */
export async function withPackages<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'caudal-peers-'));
  try {
    await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies: PACKAGES }));
    await install(folder);
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function install(folder: string): Promise<void> {
  try {
    // What npm's own Node keeps for later goes into the same folder.
    const options = { cwd: folder, timeout: INSTALL_LIMIT_MS, env: { ...process.env, TMPDIR: folder } };
    await promisify(execFile)('npm', [...NPM_INSTALL, ...FETCH_RETRY], options);
  } catch (cause) {
    const said = (cause as { readonly stderr?: string }).stderr ?? '';
    const reason = said.split('\n').find((line) => line.startsWith('npm error')) ?? (cause as Error).message;
    const help = 'it needs the network for emmett and dbos; --tools caudal-http,caudal-kernel,sql runs without';
    throw new CliError(`npm cannot install what is compared (${reason.trim()}): ${help}`, CANNOT_RUN, { cause });
  }
}

/**
 * Loads one of the packages from where they were installed.
 * @returns what it exports; `Exports` says as much of it as is used
 */
export async function loadPackage<Exports>(folder: string, name: keyof typeof PACKAGES): Promise<Exports> {
  const file = createRequire(join(folder, 'package.json')).resolve(name);
  const { default: exported } = await import(pathToFileURL(file).href);
  return exported;
}
