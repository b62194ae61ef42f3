import type { RecordedEvent } from './event.ts';
import type { Row, TableDefinition } from './table.ts';

/**
 * A read model as a pure fold: each event leads from one version of a row to the next. Inline ones are written in the
 * transaction that appends the events; the others follow the log with a position of their own.
 */
export interface RowProjection<R extends Row = any> {
  readonly kind: 'rows';
  readonly name: string;
  readonly table: TableDefinition;
  /** The event types that it folds. */
  readonly events: readonly string[];
  /** The key of the row that the event concerns, in the order of `table.key`; undefined: none. */
  key(event: RecordedEvent): readonly (string | number)[] | undefined;
  /** True when no row can exist before this event, which saves reading it. */
  startsRow(event: RecordedEvent): boolean;
  evolve(row: R | undefined, event: RecordedEvent): R;
  /** True for a row that will hardly change again: it is not kept in memory. */
  settled?(row: R): boolean;
}

/** One addition to a sum: the key's columns and the amounts to add, by column. */
export interface Increment {
  readonly key: Readonly<Record<string, string | number>>;
  readonly add: Readonly<Record<string, number>>;
}

/**
 * A read model of sums (account balances, counters). Additions commute, so each writer adds to a stripe of its own and
 * no two transactions wait for each other on a hot row; readers sum the stripes.
 * The table's key is the increments' key columns followed by `stripe` (integer).
 */
export interface SumProjection {
  readonly kind: 'sums';
  readonly name: string;
  readonly table: TableDefinition;
  readonly events: readonly string[];
  increments(event: RecordedEvent): readonly Increment[];
}

export type Projection = RowProjection | SumProjection;
