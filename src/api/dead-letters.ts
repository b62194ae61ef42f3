import {
  countOpenDeadLetters,
  type DeadLetter,
  type DeadLetterFilter,
  type DeadLetterGroup,
  discardDeadLetter,
  findDeadLetter,
  groupDeadLetters,
  listDeadLetters,
  type Replay,
  replayDeadLetters,
  settledDeadLetters,
} from '#kernel/bus/postgres/error-log.ts';
import { isUuid } from '#kernel/core/ids.ts';
import type { Page } from '#kernel/core/page.ts';
import type { ServiceDatabase } from './context.ts';

/** The dead letters of all services of a process, in however many databases they are. See `error-log.ts`. */
export interface DeadLetters {
  list(filter: DeadLetterFilter, page: { readonly limit: number; readonly cursor?: string }): Promise<Page<DeadLetter>>;
  isCursor(text: string): boolean;
  groups(filter: DeadLetterFilter, limit: number): Promise<readonly DeadLetterGroup[]>;
  find(id: string): Promise<DeadLetter | undefined>;
  settled(eventIds: readonly string[]): Promise<readonly DeadLetter[]>;
  replay(replay: Replay): Promise<readonly string[]>;
  discard(id: string, operator: string): Promise<boolean>;
  countOpen(filter: DeadLetterFilter): Promise<number>;
}

/** In a cursor, between what was shown last of each database; nothing for one of which none was shown. */
const BETWEEN = '.';

export function createDeadLetters(databases: readonly Pick<ServiceDatabase, 'sql'>[]): DeadLetters {
  const sqls = databases.map(({ sql }) => sql);

  /** Does as much as it may, database by database. */
  const replay = async ({ limit, ...rest }: Replay): Promise<readonly string[]> => {
    const services: string[] = [];
    for (const sql of sqls)
      if (services.length < limit)
        services.push(...(await replayDeadLetters(sql, { ...rest, limit: limit - services.length })));
    return services;
  };

  return {
    list: async (filter, { limit, cursor }) => {
      const shown = cursor?.split(BETWEEN) ?? sqls.map(() => '');
      const pages = await Promise.all(
        sqls.map((sql, i) => listDeadLetters(sql, filter, { limit, ...(shown[i] !== '' && { cursor: shown[i]! }) })),
      );
      const { taken, counts } = merge(
        pages.map(({ data }) => data),
        limit,
      );
      const isMore = pages.some(({ data, nextCursor }, i) => nextCursor !== null || counts[i]! < data.length);
      const last = pages.map(({ data }, i) => data[counts[i]! - 1]?.id ?? shown[i]!);
      return { data: taken, nextCursor: isMore ? last.join(BETWEEN) : null };
    },
    isCursor: (text) => {
      const ids = text.split(BETWEEN);
      return ids.length === sqls.length && ids.every((id) => isUuid(id) || (id === '' && ids.length > 1));
    },
    groups: async (filter, limit) => {
      const groups = await Promise.all(sqls.map((sql) => groupDeadLetters(sql, filter, limit)));
      return groups
        .flat()
        .sort((a, b) => b.messages - a.messages)
        .slice(0, limit);
    },
    find: async (id) => (await Promise.all(sqls.map((sql) => findDeadLetter(sql, id)))).find(Boolean),
    settled: async (eventIds) => {
      const settled = await Promise.all(sqls.map((sql) => settledDeadLetters(sql, eventIds)));
      return settled.flat().sort((a, b) => a.resolved_at! - b.resolved_at!);
    },
    replay,
    discard: async (id, operator) =>
      (await Promise.all(sqls.map((sql) => discardDeadLetter(sql, id, operator)))).some(Boolean),
    countOpen: async (filter) => {
      const counts = await Promise.all(sqls.map((sql) => countOpenDeadLetters(sql, filter)));
      return counts.reduce((sum, count) => sum + count, 0);
    },
  };
}

/** The last to come first; those of one list stay in its order. @returns how many were taken of each, too */
function merge(lists: readonly (readonly DeadLetter[])[], limit: number) {
  const counts = lists.map(() => 0);
  const taken: DeadLetter[] = [];
  while (taken.length < limit) {
    const heads = lists.map((list, i) => list[counts[i]!]?.last_seen ?? Number.NEGATIVE_INFINITY);
    const latest = heads.indexOf(Math.max(...heads));
    const next = lists[latest]?.[counts[latest]!];
    if (next === undefined) break;
    taken.push(next);
    counts[latest]! += 1;
  }
  return { taken, counts };
}
