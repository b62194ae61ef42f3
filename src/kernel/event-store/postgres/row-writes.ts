import type { TableDefinition } from '../../core/table.ts';
import { encodeArray } from '../../postgres/arrays.ts';
import type { Statement } from '../../postgres/pipeline.ts';
import type { RowWrites, SumWrites } from '../store.ts';

const SQL_TYPES = {
  uuid: 'uuid',
  text: 'text',
  bigint: 'bigint',
  integer: 'integer',
  boolean: 'boolean',
  jsonb: 'jsonb',
  timestamptz: 'timestamptz',
} as const;

const statements = new WeakMap<TableDefinition, { readonly rows: string; readonly sums: string }>();

/** Inserts the rows or replaces those with the same key. */
export function rowStatement(writes: RowWrites): Statement {
  const { table, rows } = writes;
  return { name: `rows ${table.name}`, text: textsFor(table).rows, values: columnArrays(table, sorted(table, rows)) };
}

/** Adds the rows' amounts to those with the same key, in the stripe of the writer. */
export function sumStatement(writes: SumWrites, stripe: number): Statement {
  const { table } = writes;
  const rows = writes.rows.map((row) => ({ ...row, stripe }));
  return { name: `sums ${table.name}`, text: textsFor(table).sums, values: columnArrays(table, sorted(table, rows)) };
}

/** Rows in the order of their key: two transactions that write the same rows meet them in the same order. */
function sorted(table: TableDefinition, rows: readonly Readonly<Record<string, unknown>>[]) {
  const keyOf = (row: Readonly<Record<string, unknown>>) =>
    table.key.map((column) => String(row[column])).join('\u0000');
  const keyed = rows.map((row) => ({ row, key: keyOf(row) }));
  keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return keyed.map((item) => item.row);
}

function columnArrays(table: TableDefinition, rows: readonly Readonly<Record<string, unknown>>[]): Buffer[] {
  return Object.entries(table.columns).map(([name, type]) =>
    encodeArray(
      type,
      rows.map((row) => row[name]),
    ),
  );
}

function textsFor(table: TableDefinition): { readonly rows: string; readonly sums: string } {
  let texts = statements.get(table);
  if (texts === undefined) {
    texts = {
      rows: upsertText(table, (column) => `${column} = excluded.${column}`),
      sums: upsertText(table, (column) => `${column} = t.${column} + excluded.${column}`),
    };
    statements.set(table, texts);
  }
  return texts;
}

function upsertText(table: TableDefinition, assignment: (column: string) => string): string {
  const columns = Object.keys(table.columns);
  const arrays = Object.values(table.columns).map((type, i) => `$${i + 1}::${SQL_TYPES[type]}[]`);
  const others = columns.filter((column) => !table.key.includes(column));
  return `INSERT INTO ${table.name} AS t (${columns.join(', ')}) SELECT * FROM unnest(${arrays.join(', ')})
    ON CONFLICT (${table.key.join(', ')}) DO UPDATE SET ${others.map(assignment).join(', ')}`;
}
