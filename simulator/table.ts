/** One page of a list, oldest first; `nextCursor` is null on the last page. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor: string | null;
}

interface Row {
  readonly id: string;
  readonly idempotencyKey: string;
}

/** Rows in the order they were added, found by id and by idempotency key. Ids are `<prefix>_<run><place in base 36>`. */
export interface Table<T extends Row> {
  /** The id that the next row must have; `run` is eight characters. */
  nextId(run: string): string;
  /** @throws Error when the row's id does not belong to the next place, or its key is taken */
  add(row: T): void;
  byId(id: string): T | undefined;
  byKey(key: string): T | undefined;
  full(): boolean;
  size(): number;
  all(): readonly T[];
  /** Rows after `cursor`, from the first when it is null; undefined when the cursor is none that was given out. */
  page(cursor: string | null, limit: number): Page<T> | undefined;
  clear(): void;
}

const RUN_LENGTH = 8;

/** @param maxRows the size at which it calls itself full; it is the caller who refuses */
export function createTable<T extends Row>(prefix: string, maxRows: number): Table<T> {
  const rows: T[] = [];
  const keys = new Map<string, T>();

  function placeOf(id: string): number {
    return Number.parseInt(id.slice(prefix.length + 1 + RUN_LENGTH), 36);
  }

  function byId(id: string): T | undefined {
    const row = rows[placeOf(id)];
    return row?.id === id ? row : undefined;
  }

  function add(row: T): void {
    if (placeOf(row.id) !== rows.length || keys.has(row.idempotencyKey)) {
      throw new Error(`${row.id} is out of place; have two simulators written to the same file?`);
    }
    rows.push(row);
    keys.set(row.idempotencyKey, row);
  }

  function page(cursor: string | null, limit: number): Page<T> | undefined {
    const start = cursor === null ? 0 : Number(cursor);
    if (cursor !== null && !/^\d{1,15}$/.test(cursor)) return undefined;
    const end = start + limit;
    return { items: rows.slice(start, end), nextCursor: end < rows.length ? String(end) : null };
  }

  function clear(): void {
    rows.length = 0;
    keys.clear();
  }

  return {
    nextId: (run) => `${prefix}_${run}${rows.length.toString(36).padStart(6, '0')}`,
    add,
    byId,
    byKey: (key) => keys.get(key),
    full: () => rows.length >= maxRows,
    size: () => rows.length,
    all: () => rows,
    page,
    clear,
  };
}
