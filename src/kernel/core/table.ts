/** The PostgreSQL types that read models are made of. `json` values are plain objects; `timestamptz` are milliseconds. */
export type ColumnType = 'uuid' | 'text' | 'bigint' | 'integer' | 'boolean' | 'jsonb' | 'timestamptz';

/** A table of a read model, as its service declares it; the migration creates it. */
export interface TableDefinition {
  /** `schema.name`, each a plain lower-case identifier. */
  readonly name: string;
  readonly columns: Readonly<Record<string, ColumnType>>;
  /** The primary key's columns. */
  readonly key: readonly string[];
}

/** A row as plain values by column: strings, numbers, booleans, objects (jsonb), milliseconds (timestamptz), null. */
export type Row = Readonly<Record<string, unknown>>;
