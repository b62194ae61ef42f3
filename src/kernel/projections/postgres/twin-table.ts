import type { Projection } from '../../core/projection.ts';
import type { TableDefinition } from '../../core/table.ts';
import type { Sql } from '../../postgres/sql.ts';

const DIFFERENCES_NAMED = 10;

/** The table beside a read model's own in which it is built anew. */
export function twinOf(table: TableDefinition): TableDefinition {
  return { ...table, name: `${table.name}_rebuilt` };
}

/** Makes the twin, empty: columns, checks, indexes, storage settings, comments and grants as the original's. */
export async function createTwin(sql: Sql, table: TableDefinition, twin: TableDefinition): Promise<void> {
  await dropTwin(sql, twin);
  await sql.query(`CREATE TABLE ${twin.name} (LIKE ${table.name} INCLUDING ALL)`);
  const rows = await sql.query<{ statement: string }>(
    `SELECT format('ALTER TABLE %s SET (%s)', $2::text, array_to_string(reloptions, ', ')) AS statement
        FROM pg_class WHERE oid = $1::regclass AND reloptions IS NOT NULL
      UNION ALL SELECT format('COMMENT ON TABLE %s IS %L', $2::text, obj_description($1::regclass))
        WHERE obj_description($1::regclass) IS NOT NULL
      UNION ALL SELECT format('GRANT %s ON %s TO %s', a.privilege_type, $2::text,
          CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END)
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
        WHERE c.oid = $1::regclass AND a.grantee <> c.relowner`,
    [table.name, twin.name],
  );
  for (const { statement } of rows) await sql.query(statement);
}

export async function dropTwin(sql: Sql, twin: TableDefinition): Promise<void> {
  await sql.query(`DROP TABLE IF EXISTS ${twin.name}`);
}

/** Until the transaction ends nobody writes the table; who reads goes on. */
export async function holdWrites(sql: Sql, table: TableDefinition): Promise<void> {
  await sql.query(`LOCK TABLE ${table.name} IN EXCLUSIVE MODE`);
}

export async function countRows(sql: Sql, table: TableDefinition): Promise<number> {
  const rows = await sql.query<{ count: number }>(`SELECT count(*) FROM ${table.name}`);
  return rows[0]!.count;
}

/** The twin takes the place and the names of the table, in the transaction of `sql`. */
export async function swapTwin(sql: Sql, table: TableDefinition, twin: TableDefinition): Promise<void> {
  const indexes = await sql.query<{ twin: string; name: string }>(
    `SELECT n.nspname || '.' || quote_ident(ours.relname) AS twin, quote_ident(theirs.relname) AS name
      FROM pg_index i JOIN pg_class ours ON ours.oid = i.indexrelid JOIN pg_namespace n ON n.oid = ours.relnamespace
      JOIN pg_index o ON o.indrelid = $2::regclass AND ${definitionOf('o')} = ${definitionOf('i')}
      JOIN pg_class theirs ON theirs.oid = o.indexrelid WHERE i.indrelid = $1::regclass`,
    [twin.name, table.name],
  );
  await sql.query(`DROP TABLE ${table.name}`);
  await sql.query(`ALTER TABLE ${twin.name} RENAME TO ${table.name.split('.')[1]}`);
  for (const index of indexes) await sql.query(`ALTER INDEX ${index.twin} RENAME TO ${index.name}`);
}

/** What an index is, without its name and its table's. */
function definitionOf(index: string): string {
  return `substring(pg_get_indexdef(${index}.indexrelid) FROM ' USING .*')`;
}

/** How far two tables of one read model differ. */
export interface Comparison {
  readonly rows: number;
  readonly different: number;
  /** The keys of some rows that differ, are missing, or are too many. */
  readonly examples: readonly string[];
}

/** Compares the contents: a checksum of each in one pass, and only when these differ row by row. */
export async function compareTables(sql: Sql, projection: Projection, twin: TableDefinition): Promise<Comparison> {
  const ours = contentOf(projection, twin.name);
  const theirs = contentOf(projection, projection.table.name);
  const [before, after] = [await checksum(sql, theirs), await checksum(sql, ours)];
  if (before.rows === after.rows && before.sum === after.sum) return { rows: after.rows, different: 0, examples: [] };
  const key = keyOf(projection)
    .map((column) => `d.${column}::text`)
    .join(`, ' ', `);
  const rows = await sql.query<{ key: string; total: number }>(
    `SELECT key, count(*) OVER () AS total FROM (SELECT DISTINCT concat(${key}) AS key FROM (
        (${ours} EXCEPT ALL ${theirs}) UNION ALL (${theirs} EXCEPT ALL ${ours})) d) keys ORDER BY key LIMIT ${DIFFERENCES_NAMED}`,
  );
  return { rows: after.rows, different: rows[0]?.total ?? 0, examples: rows.map((row) => row.key) };
}

async function checksum(sql: Sql, content: string): Promise<{ readonly rows: number; readonly sum: string }> {
  const rows = await sql.query<{ rows: number; sum: string }>(
    `SELECT count(*) AS rows, coalesce(sum(hashtextextended(c::text, 0)), 0)::text AS sum FROM (${content}) c`,
  );
  return rows[0]!;
}

/** Sums are compared without their stripes: these only tell which writer added. */
function contentOf(projection: Projection, table: string): string {
  const columns = Object.keys(projection.table.columns);
  if (projection.kind === 'rows') return `SELECT ${columns.join(', ')} FROM ${table}`;
  const key = keyOf(projection);
  const sums = columns.filter((column) => !projection.table.key.includes(column)).map((column) => `sum(${column})`);
  return `SELECT ${[...key, ...sums].join(', ')} FROM ${table} GROUP BY ${key.join(', ')}`;
}

function keyOf(projection: Projection): readonly string[] {
  const { key } = projection.table;
  return projection.kind === 'sums' ? key.filter((column) => column !== 'stripe') : key;
}
