import type { TableDefinition } from '#kernel/core/table.ts';

/** Tables of read models that tests write. */
export const COUNTERS: TableDefinition = {
  name: 'toy_counters',
  columns: { id: 'uuid', total: 'bigint', note: 'text', open: 'boolean', detail: 'jsonb', changed_at: 'timestamptz' },
  key: ['id'],
};

export const TOTALS: TableDefinition = {
  name: 'toy_totals',
  columns: { name: 'text', stripe: 'integer', amount: 'bigint', entries: 'bigint' },
  key: ['name', 'stripe'],
};

export const TOY_TABLES = `
  CREATE TABLE toy_counters (id uuid PRIMARY KEY, total bigint NOT NULL, note text, open boolean, detail jsonb, changed_at timestamptz);
  CREATE TABLE toy_totals (name text NOT NULL, stripe integer NOT NULL, amount bigint NOT NULL, entries bigint NOT NULL,
    PRIMARY KEY (name, stripe))`;
