import { DataError } from '../../core/errors.ts';
import type { ColumnType, Row, TableDefinition } from '../../core/table.ts';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/**
 * JSON text that PostgreSQL's jsonb takes too.
 * @throws DataError for a NUL character or half a surrogate pair, which it refuses
 */
export function storableJson(text: string): string {
  if (/\\u(0000|d[89a-f][0-9a-f]{2})/.test(text.replaceAll('\\\\', ''))) {
    throw new DataError('a text holds a NUL character or half a surrogate pair');
  }
  return text;
}

/** The value, and everything in it, so that nobody can change it. */
export function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const part of Object.values(value)) frozen(part);
    Object.freeze(value);
  }
  return value;
}

/** @throws DataError when the text is no UUID */
export function requireUuid(text: string): void {
  if (!UUID.test(text)) throw new DataError(`${JSON.stringify(text.slice(0, 50))} is not a UUID`);
}

/** A row as it is kept: every column of the table, as JSON. @throws DataError when a value is not of its column's type */
export function storableRow(table: TableDefinition, row: Row): string {
  const kept: Record<string, unknown> = {};
  for (const name in table.columns) kept[name] = columnValue(table.columns[name]!, row[name] ?? null);
  return storableJson(JSON.stringify(kept));
}

function columnValue(type: ColumnType, value: unknown): unknown {
  if (value === null) return null;
  if (type === 'uuid') requireUuid(value as string);
  if ((type === 'bigint' || type === 'integer' || type === 'timestamptz') && !Number.isSafeInteger(value)) {
    throw new DataError(`${String(value)} is not an integer`);
  }
  return type === 'jsonb' && typeof value === 'string' ? JSON.parse(value) : value;
}
