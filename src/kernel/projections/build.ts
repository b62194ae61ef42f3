import { UnavailableError } from '../core/errors.ts';
import type { RecordedEvent } from '../core/event.ts';
import { LOG_START, type LogPosition } from '../core/log-position.ts';
import type { Projection } from '../core/projection.ts';
import type { TableDefinition } from '../core/table.ts';
import { eventsBetween } from '../event-store/postgres/events-between.ts';
import { loadRows } from '../event-store/postgres/read.ts';
import { rowStatement, sumStatement } from '../event-store/postgres/row-writes.ts';
import type { Commit } from '../event-store/store.ts';
import type { Statement } from '../postgres/pipeline.ts';
import type { Sql } from '../postgres/sql.ts';
import { createInlineProjections } from '../processor/inline.ts';
import type { Coverage, Source } from './postgres/coverage.ts';

/** A read model, and who keeps it up to date. */
export interface ReadModel extends Source {
  readonly projection: Projection;
}

/** A stretch of the log to fold. */
export interface Stretch {
  readonly from: LogPosition;
  readonly to: LogPosition;
  covers(event: RecordedEvent): boolean;
}

/** The log of another store. */
export interface OtherLog {
  readonly storeId: string;
  readonly sql: Sql;
}

/** A read model that is being built from the log in a table of its own. */
export interface Build {
  /** How many events were folded. */
  readonly events: number;
  /** Folds a stretch, which must go on where the one before ended, through `sql`. */
  fold(sql: Sql, stretch: Stretch, onProgress: (passed: number) => void): Promise<void>;
  /** Folds what the read model has taken in of another store's log, all of it, into the table through `sql`. */
  foldOther(sql: Sql, log: OtherLog, coverage: Pick<Coverage, 'ceiling' | 'covers'>): Promise<void>;
}

const BATCH_EVENTS = 2000;
const MAX_CACHED_ROWS = 50_000;
/** The stripe of the sums that are built. Writers use the numbers of their chains, which start at 1. */
const BUILT_STRIPE = 0;

/**
 * @param table where the rows go: shaped as the projection's own, and empty
 * @param skipped events to leave out, by id
 */
export function createBuild(projection: Projection, table: TableDefinition, skipped: ReadonlySet<string>): Build {
  let events = 0;
  let writeTo: Sql;
  const rows = {
    loadRows: (_: TableDefinition, keys: readonly (readonly (string | number)[])[]) => loadRows(writeTo, table, keys),
  };
  const folding = createInlineProjections([{ ...projection, table }], rows, MAX_CACHED_ROWS);

  /** What does not fit is left out, as the read model that follows the log does: found by folding one event at a time. */
  const writesFor = async (batch: readonly RecordedEvent[]) => {
    try {
      const writes = await folding.writesFor(batch);
      return { statements: statementsOf(writes), committed: writes.committed };
    } catch (cause) {
      if (cause instanceof UnavailableError) throw cause;
      return undefined;
    }
  };

  const apply = async (batch: readonly RecordedEvent[]): Promise<void> => {
    const writes = await writesFor(batch);
    if (writes === undefined) {
      if (batch.length > 1) for (const event of batch) await apply([event]);
      return;
    }
    for (const { text, values } of writes.statements) await writeTo.query(text, values);
    writes.committed();
    events += batch.length;
  };

  const foldFrom = async (
    source: Sql,
    { from, to, covers }: Stretch,
    onProgress: (passed: number) => void,
  ): Promise<void> => {
    for await (const part of eventsBetween(source, from, to, projection.events, BATCH_EVENTS)) {
      const batch = part.events.filter((event) => covers(event) && !skipped.has(event.id));
      if (batch.length > 0) await apply(batch);
      onProgress(part.passed);
    }
  };

  return {
    get events() {
      return events;
    },
    fold: (sql, stretch, onProgress) => {
      writeTo = sql;
      return foldFrom(sql, stretch, onProgress);
    },
    foldOther: (sql, { sql: source }, { ceiling, covers }) => {
      writeTo = sql;
      return foldFrom(source, { from: LOG_START, to: ceiling, covers }, () => undefined);
    },
  };
}

function statementsOf({ rows, sums }: Pick<Commit, 'rows' | 'sums'>): readonly Statement[] {
  return [
    ...(rows ?? []).filter((write) => write.rows.length > 0).map(rowStatement),
    ...(sums ?? []).filter((write) => write.rows.length > 0).map((write) => sumStatement(write, BUILT_STRIPE)),
  ];
}
