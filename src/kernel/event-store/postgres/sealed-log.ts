import type { RecordedEvent } from '../../core/event.ts';
import { type LogPosition, positionIn } from '../../core/log-position.ts';
import { encodeArray } from '../../postgres/arrays.ts';
import type { Sql } from '../../postgres/sql.ts';
import { CHAIN_START, linkOf } from '../hash-chain.ts';
import type { LogPage } from '../store.ts';
import { EVENT_COLUMNS, type EventRow, toEvent } from './read.ts';

/** The log, read with its hashes: each event can be checked as it goes by, so that the log is read once. */
export interface SealedLog {
  /** As `Store.readLog`, with events of every type, and `limit` of them in all: each page is looked at whole. */
  readLog(after: LogPosition, options: { readonly limit: number }): Promise<LogPage>;
  /**
   * Checks an event that was read from here, after the ones before it in its chain.
   * @returns what is wrong with it; undefined: it is what was appended, and follows on the one before it
   */
  check(event: RecordedEvent): string | undefined;
}

interface SealedRow extends EventRow {
  readonly stored: number;
  readonly hash: string;
  readonly head_chain: number;
  readonly head: number;
}

/** What the next event of a chain must follow. */
interface ChainPoint {
  readonly position: number;
  /** The link that is stored, and the one that would be right: one change is to be found once. */
  readonly links: readonly string[];
}

/**
 * A page of every type: from each chain what comes after the position, in the order of sequence numbers, hashes included,
 * and a row without an event for each chain that has nothing new. What the page has no room for stays in the database.
 */
const READ_PAGE = `WITH heads AS (SELECT c.chain, c.position, coalesce(a.after, 0) AS after FROM event_chains c
      LEFT JOIN unnest($1::int[], $2::bigint[]) AS a(chain, after) USING (chain))
    SELECT h.chain AS head_chain, h.position AS head, p.* FROM heads h LEFT JOIN LATERAL (
      SELECT ${EVENT_COLUMNS}, date_part('epoch', e.created_at) AS stored, encode(e.hash, 'hex') AS hash
      FROM events e WHERE e.chain = h.chain AND e.chain_position > h.after AND e.chain_position <= h.position
      ORDER BY e.chain_position LIMIT $3) p ON h.position > h.after
    ORDER BY p.sequence_number NULLS LAST LIMIT $3 + (SELECT count(*) FROM heads)`;

export function createSealedLog(sql: Sql): SealedLog {
  const seals = new WeakMap<RecordedEvent, SealedRow>();
  const points = new Map<number, ChainPoint>();

  /** Chains that are read from elsewhere than where the last check ended: what stands before is asked for. */
  const findPoints = async (after: LogPosition, events: readonly RecordedEvent[]): Promise<void> => {
    const chains = [...new Set(events.map((event) => event.chain))];
    for (const chain of chains) {
      const position = positionIn(after, chain);
      if (points.get(chain)?.position === position) continue;
      points.set(chain, { position, links: position === 0 ? [CHAIN_START] : await readLinks(sql, chain, position) });
    }
  };

  return {
    readLog: async (after, { limit }) => {
      const rows = await sql.query<SealedRow>(READ_PAGE, [
        encodeArray('integer', Object.keys(after).map(Number)),
        encodeArray('bigint', Object.values(after)),
        limit,
      ]);
      const found = rows.filter((row) => row.event_id !== null).slice(0, limit);
      const events = found.map(toEvent);
      for (const [i, event] of events.entries()) seals.set(event, found[i]!);
      await findPoints(after, events);
      return { events, ...nextOf(rows, events, after, limit) };
    },
    check: (event) => {
      const { hash, stored } = seals.get(event)!;
      const { chain, chainPosition } = event;
      const { position, links } = points.get(chain)!;
      const right = links.map((link) => linkOf(link, event, milliseconds(stored)));
      points.set(chain, {
        position: chainPosition,
        links: right.includes(hash) ? [hash] : [hash, ...right.slice(0, 1)],
      });
      if (chainPosition !== position + 1) return `what stood before it, from position ${position + 1} on, was removed`;
      if (links.length === 0) return 'what stood before it was removed';
      return right.includes(hash) ? undefined : 'it is not what was appended';
    },
  };
}

function nextOf(
  rows: readonly SealedRow[],
  events: readonly RecordedEvent[],
  after: LogPosition,
  limit: number,
): Pick<LogPage, 'next' | 'atEnd'> {
  const next: Record<number, number> = { ...after };
  const atEnd = events.length < limit;
  if (atEnd) for (const row of rows) next[row.head_chain] = Math.max(row.head, positionIn(after, row.head_chain));
  else for (const event of events) next[event.chain] = event.chainPosition;
  return { next, atEnd };
}

async function readLinks(sql: Sql, chain: number, position: number): Promise<readonly string[]> {
  const rows = await sql.query<{ hash: string }>(
    `SELECT encode(hash, 'hex') AS hash FROM events WHERE chain = $1 AND chain_position = $2`,
    [chain, position],
  );
  return rows.map((row) => row.hash);
}

/** With what is below a millisecond, which no event has. */
function milliseconds(seconds: number): number {
  return Math.round(seconds * 1e6) / 1000;
}
