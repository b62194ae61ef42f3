import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after } from 'node:test';
import pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '#kernel/postgres/embedded.ts';
import { temporaryDataFolder } from './data-folder.ts';

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
