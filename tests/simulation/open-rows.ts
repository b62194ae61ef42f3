import type { Row } from '#kernel/core/table.ts';

/**
 * The rows of a read model in memory, with an index of those that wait for something, as the real tables have one: a look
 * for what is due costs nothing for what is settled.
 */
export class OpenRows<R extends Row> extends Map<string, string> {
  readonly open = new Map<string, R>();
  readonly #isOpen: (row: R) => boolean;

  /** @param isOpen whether a row belongs into the index */
  constructor(isOpen: (row: R) => boolean) {
    super();
    this.#isOpen = isOpen;
  }

  override set(key: string, text: string): this {
    const row: R = JSON.parse(text);
    if (this.#isOpen(row)) this.open.set(key, row);
    else this.open.delete(key);
    return super.set(key, text);
  }
}
