/** A database as readers see it: parameters are always sent apart from the text. */
export interface Sql {
  /**
   * Runs one statement and gives its rows. bigint comes as a number (a value past 2^53 is an error), timestamptz as
   * milliseconds since 1970, jsonb parsed.
   * @throws UnavailableError when the database cannot be reached, DataError when it refuses a value
   */
  query<T>(text: string, params?: readonly unknown[]): Promise<readonly T[]>;
}
