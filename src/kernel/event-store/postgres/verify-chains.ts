import type { EventMetadata, RecordedEvent } from '../../core/event.ts';
import type { Sql } from '../../postgres/sql.ts';
import { CHAIN_START, linkOf } from '../hash-chain.ts';

/** An event's row as it is checked. Numbers come as doubles, so that no forged value stops the check. */
export interface CheckedRow {
  readonly id: string;
  readonly type: string;
  readonly version: number;
  readonly aggregate_type: string;
  readonly aggregate_id: string;
  readonly stream_position: number;
  readonly chain: number;
  readonly chain_position: number;
  readonly sequence: number;
  /** Seconds since 1970. */
  readonly happened: number;
  /** Seconds since 1970. */
  readonly stored: number;
  readonly data: object;
  readonly metadata: EventMetadata;
  readonly hash: string;
}

/** Where a chain ends, by `event_chains`. */
export interface StatedEnd {
  readonly chain: number;
  readonly position: number;
  readonly hash: string;
}

/** A stretch of a chain that is not there. */
export interface Hole {
  readonly chain: number;
  readonly from: number;
  readonly to: number;
  /** Links that the first missing event may have followed. */
  readonly before: readonly string[];
  /** Sequence numbers between which those of the missing events lay. */
  readonly after: number;
  until: number;
}

/** What one chain, or all of them, shows. Each list holds as many as `limit` at most. */
export interface ChainFaults {
  readonly limit: number;
  /** Rows that are where they belong, but not what they were. */
  readonly changed: CheckedRow[];
  /** Rows out of the order of sequence numbers. */
  readonly misnumbered: CheckedRow[];
  /** Rows at a place where no event can be. */
  readonly strays: CheckedRow[];
  readonly holes: Hole[];
  /** Chains whose stated end is not that of their last event. */
  readonly ends: StatedEnd[];
}

const PAGE_ROWS = 2000;
/** Below the end of bigint, which a double rounds past. */
const MAX_POSITION = 9e18;
/** So many links are kept that a row may follow: more only where rows were changed one after another. */
const MAX_LINKS = 4;

/**
 * One page of a chain, 2,000 rows in 11 ms. Times are read as doubles, which hold microseconds
 * exactly enough and cost less than texts.
 */
const READ_PAGE = `SELECT event_id AS id, event_type AS type, event_version AS version, aggregate_type, aggregate_id,
    stream_position::float8, chain, chain_position::float8, sequence_number::float8 AS sequence,
    date_part('epoch', "timestamp") AS happened, date_part('epoch', created_at) AS stored,
    event_data AS data, event_metadata AS metadata, encode(hash, 'hex') AS hash
  FROM events e WHERE chain = $1 AND chain_position > $2::bigint ORDER BY e.chain_position LIMIT ${PAGE_ROWS}`;

/** The number of the next chain that any row names, whether `event_chains` knows it or not. */
export async function nextChain(sql: Sql, after: number): Promise<number | undefined> {
  const rows = await sql.query<{ chain: number | null }>('SELECT min(chain) AS chain FROM events WHERE chain > $1', [
    after,
  ]);
  return rows[0]?.chain ?? undefined;
}

/**
 * Walks a chain in order and compares each event with its link. After one that does not fit, it goes on from both the
 * link that is stored and the one that would be right, so that one change is found once.
 * @param end where the chain ends; undefined: no such chain is known, and every row of it is a stray
 */
export async function checkChain(
  sql: Sql,
  chain: number,
  end: StatedEnd | undefined,
  faults: ChainFaults,
  onRows: (count: number) => void,
): Promise<void> {
  const walk = createWalk(chain, end?.position ?? 0, faults);
  for await (const rows of readPages(sql, chain)) {
    for (const row of rows) walk.take(row);
    onRows(rows.length);
  }
  walk.finish(end);
}

/** The rows of a chain by position; the next page is read while one is worked on. */
async function* readPages(sql: Sql, chain: number): AsyncGenerator<readonly CheckedRow[]> {
  let page: Promise<readonly CheckedRow[]> | undefined = readPage(sql, chain, Number.MIN_SAFE_INTEGER);
  while (page !== undefined) {
    const rows: readonly CheckedRow[] = await page;
    page = undefined;
    let whole = rows;
    if (rows.length === PAGE_ROWS) {
      // Rows of one position stay together, unless they fill a page.
      const last = rows.at(-1)!.chain_position;
      if (rows[0]!.chain_position !== last) whole = rows.filter((row) => row.chain_position !== last);
      page = readPage(sql, chain, whole.at(-1)!.chain_position);
      // What breaks it shows when it is awaited.
      page.catch(() => undefined);
    }
    yield whole;
  }
}

function readPage(sql: Sql, chain: number, after: number): Promise<readonly CheckedRow[]> {
  return sql.query<CheckedRow>(READ_PAGE, [chain, String(BigInt(Math.min(after, MAX_POSITION)))]);
}

/** The link of a row at a place of a chain, after another link. */
export function linkAt(previous: string, row: CheckedRow, chain: number, position: number): string {
  const event: RecordedEvent = {
    id: row.id,
    type: row.type,
    version: row.version,
    aggregateType: row.aggregate_type,
    aggregateId: row.aggregate_id,
    streamPosition: row.stream_position,
    chain,
    chainPosition: position,
    time: milliseconds(row.happened),
    data: row.data,
    metadata: row.metadata,
  };
  return linkOf(previous, event, milliseconds(row.stored));
}

/** With what is below a millisecond, which no event has. */
function milliseconds(seconds: number): number {
  return Math.round(seconds * 1e6) / 1000;
}

/** The state of a walk: what the next row must follow, and the rows of one position that have not been judged yet. */
function createWalk(chain: number, end: number, faults: ChainFaults) {
  let links: readonly string[] = [CHAIN_START];
  let known = true;
  let next = 1;
  let same: CheckedRow[] = [];
  let order: readonly CheckedRow[] = [];
  let openHole: Hole | undefined;

  const missing = (from: number, to: number): void => {
    if (from > to) return;
    openHole = { chain, from, to, before: links, after: order.at(-1)?.sequence ?? 0, until: Number.POSITIVE_INFINITY };
    add(faults.holes, openHole, faults.limit);
    known = false;
  };

  /** Judges the rows of the next position: at most one of them belongs there. */
  const judge = (): void => {
    if (same.length === 0) return;
    const position = same[0]!.chain_position;
    missing(next, position - 1);
    const fitting = known
      ? same.find((row) => links.some((link) => linkAt(link, row, chain, position) === row.hash))
      : same[0];
    const row = fitting ?? same[0]!;
    for (const other of same) if (other !== row) add(faults.strays, other, faults.limit);
    const right = fitting === undefined ? links.map((link) => linkAt(link, row, chain, position)) : [];
    links = [row.hash, ...right].slice(0, MAX_LINKS);
    if (fitting === undefined) add(faults.changed, row, faults.limit);
    if (openHole !== undefined) openHole.until = row.sequence;
    openHole = undefined;
    order = checkOrder(order, row, faults);
    known = true;
    next = position + 1;
    same = [];
  };

  return {
    take: (row: CheckedRow): void => {
      if (row.chain_position < 1 || row.chain_position > end) {
        add(faults.strays, row, faults.limit);
        return;
      }
      if (same.length > 0 && same[0]!.chain_position !== row.chain_position) judge();
      same.push(row);
    },
    finish: (stated: StatedEnd | undefined): void => {
      judge();
      missing(next, end);
      if (stated !== undefined && known && !links.includes(stated.hash)) add(faults.ends, stated, faults.limit);
    },
  };
}

/**
 * Sequence numbers grow along a chain; they are the one thing that no hash seals. Of two that do not, the culprit is the
 * one without which the others are in order.
 * @param order the last two rows
 * @returns the last two rows from now on, the culprit left out
 */
function checkOrder(order: readonly CheckedRow[], row: CheckedRow, faults: ChainFaults): readonly CheckedRow[] {
  const [earlier, before] = order.length === 2 ? order : [undefined, order[0]];
  if (before === undefined || row.sequence > before.sequence) return [...order.slice(-1), row];
  const beforeIsWrong = row.sequence > (earlier?.sequence ?? 0);
  add(faults.misnumbered, beforeIsWrong ? before : row, faults.limit);
  if (!beforeIsWrong) return order;
  return earlier === undefined ? [row] : [earlier, row];
}

function add<T>(list: T[], item: T, limit: number): void {
  if (list.length < limit) list.push(item);
}
