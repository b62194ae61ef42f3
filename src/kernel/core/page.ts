/** A part of a list, and where the next part starts. */
export interface Page<T> {
  readonly data: readonly T[];
  /** Give it back as the cursor; null: the list ends here. */
  readonly nextCursor: string | null;
}

/**
 * Makes a page of rows that were read with `limit + 1`, so that one more tells whether there is a next page.
 * @param cursorOf names the last row of the page
 */
export function pageOf<T>(rows: readonly T[], limit: number, cursorOf: (last: T) => string): Page<T> {
  if (rows.length <= limit) return { data: rows, nextCursor: null };
  const data = rows.slice(0, limit);
  return { data, nextCursor: cursorOf(data[limit - 1]!) };
}
