import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pool } from './pool.ts';
import type { Sql } from './sql.ts';

/** A folder of `NNNN-name.sql` files that belong together: the kernel's, or one service's. */
export interface MigrationSource {
  readonly scope: string;
  readonly directory: string;
}

interface Migration {
  readonly name: string;
  readonly sql: string;
  readonly checksum: string;
}

const FILE_NAME = /^\d{4}-[a-z0-9-]+\.sql$/;
const LOCK = `hashtextextended('caudal.migrate', 0)`;

/**
 * Brings the database to the present schema: applies what is missing, in order, in one transaction per source.
 * Processes that start at once wait for one another.
 * @returns the names of the migrations applied now
 * @throws when an applied migration was edited, or the database knows one that this version does not (it is newer)
 */
export async function migrate(pool: Pool, sources: readonly MigrationSource[]): Promise<readonly string[]> {
  await pool.transaction(async (sql) => {
    await sql.query(`SELECT pg_advisory_xact_lock(${LOCK})`);
    await sql.query(`CREATE TABLE IF NOT EXISTS migrations (
      scope text NOT NULL, name text NOT NULL, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (scope, name))`);
  });
  const applied: string[] = [];
  for (const source of sources) {
    applied.push(...(await pool.transaction((sql) => applySource(sql, source))));
  }
  return applied;
}

async function applySource(sql: Sql, source: MigrationSource): Promise<readonly string[]> {
  await sql.query(`SELECT pg_advisory_xact_lock(${LOCK})`);
  const known = await sql.query<{ name: string; checksum: string }>(
    'SELECT name, checksum FROM migrations WHERE scope = $1 ORDER BY name',
    [source.scope],
  );
  const present = await readMigrations(source.directory);
  const byName = new Map(present.map((migration) => [migration.name, migration]));
  for (const { name, checksum } of known) {
    const migration = byName.get(name);
    if (migration === undefined) {
      throw new Error(
        `the database has migration ${source.scope}/${name}, which this version of Caudal does not know: it was made by a newer one. Start that version, or set CAUDAL_DATA or DATABASE_URL to another store`,
      );
    }
    if (migration.checksum !== checksum)
      throw new Error(`migration ${source.scope}/${name} was edited after it was applied`);
  }
  const missing = present.slice(known.length);
  for (const migration of missing) {
    await sql.query(migration.sql);
    await sql.query('INSERT INTO migrations (scope, name, checksum) VALUES ($1, $2, $3)', [
      source.scope,
      migration.name,
      migration.checksum,
    ]);
  }
  return missing.map((migration) => `${source.scope}/${migration.name}`);
}

async function readMigrations(directory: string): Promise<readonly Migration[]> {
  const names = (await readdir(directory)).filter((name) => FILE_NAME.test(name)).sort();
  return Promise.all(
    names.map(async (name) => {
      const sql = await readFile(join(directory, name), 'utf8');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}
