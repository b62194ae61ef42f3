import { spawn } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '#kernel/postgres/embedded.ts';

/** Stops the server and removes the folder when the process at the other end of its standard input is gone. */
const GUARDIAN = `
  cat > /dev/null
  for attempt in 1 2 3 4 5 6 7 8 9 10; do
    [ -d "$1" ] || exit 0
    kill -QUIT "$(head -n 1 "$1/postgres/postmaster.pid")"
    sleep 0.5
    rm -rf "$1"
  done`;

let shared: Promise<EmbeddedPostgres> | undefined;
let folder: string | undefined;
let databases = 0;

// At the top level of the test file that imports this, hence after its last test.
after(async () => {
  if (shared === undefined) return;
  const server = await shared;
  await server.stop();
  if (folder !== undefined) await rm(folder, { recursive: true });
});

/**
 * The PostgreSQL server that all tests of this process share: the real embedded one, in a temporary folder. It is stopped after
 * the last test, and also when the process is killed.
 */
export function startTestPostgres(): Promise<EmbeddedPostgres> {
  shared ??= start();
  return shared;
}

/** Creates an empty database on the shared server, and returns its url. */
export async function createDatabase(): Promise<string> {
  const { url } = await startTestPostgres();
  databases += 1;
  const name = `test_${databases}`;
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(`CREATE DATABASE ${name}`);
  } finally {
    await client.end();
  }
  return Object.assign(new URL(url), { pathname: name }).href;
}

async function start(): Promise<EmbeddedPostgres> {
  folder = await temporaryDataFolder();
  const quiet = { info: () => {}, warn: console.warn, error: console.error };
  return startEmbeddedPostgres({ dataDir: join(folder, 'postgres'), log: quiet, sharedBuffers: '64MB' });
}

/** A folder for CAUDAL_DATA. A server that runs in it ends, and the folder goes, with this process, however that ends. */
export async function temporaryDataFolder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'caudal-test-'));
  await chmod(path, 0o711);
  const guardian = spawn('sh', ['-c', GUARDIAN, 'sh', path], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  guardian.unref();
  (guardian.stdin as unknown as { unref(): void }).unref();
  return path;
}
