import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

const LEASE = 'caudal-lease';
const LOOK = 'caudal-look';
const CLOSING_GRACE_MS = 2_000;
/** A server that was killed while it takes a connection in may never answer it. */
const CONNECT_TIMEOUT_MS = 5_000;
const POLL_MS = 100;

/**
 * Opens the connection by which a process shows, for as long as it lives, that it uses the server. It ends with the server.
 */
export async function openLease(url: string, log: { warn(message: string): void }): Promise<pg.Client> {
  const lease = connection(url, LEASE);
  lease.on('error', (error) => log.warn(`The connection to the embedded PostgreSQL was lost: ${error.message}`));
  await lease.connect();
  return lease;
}

/**
 * How many connections of Caudal processes there are, known by their application name `caudal…`, after our own lease has ended. A
 * lease is another process's; other connections may be our own that are just being closed, and get 2 s to go.
 */
export async function countOtherUsers(url: string): Promise<number> {
  const client = connection(url, LOOK);
  await client.connect();
  try {
    const deadline = Date.now() + CLOSING_GRACE_MS;
    for (;;) {
      const { rows } = await client.query<{ others: number; leases: number }>(
        `SELECT count(*)::int AS others, count(*) FILTER (WHERE application_name = '${LEASE}')::int AS leases FROM pg_stat_activity
         WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name LIKE 'caudal%'`,
      );
      const { others, leases } = rows[0]!;
      if (others === 0 || leases > 0 || Date.now() >= deadline) return others;
      await sleep(POLL_MS);
    }
  } finally {
    await client.end();
  }
}

/** Creates the database unless it is there; `url` is that of another database. */
export async function ensureDatabase(url: string, name: string): Promise<void> {
  const client = connection(url, LOOK);
  await client.connect();
  try {
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [name]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${pg.escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
}

function connection(url: string, name: string): pg.Client {
  const client = new pg.Client({
    connectionString: url,
    application_name: name,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  });
  // What is under way fails by itself; that nobody listens in between would end the process.
  client.on('error', () => undefined);
  return client;
}
