import type { Turns } from '../core/turns.ts';
import type { Pool } from './pool.ts';

/** A process that has its turn and says nothing more is not waited for longer, milliseconds. */
const WAIT_MS = 2000;

/** Turns by an advisory lock, which is held in a transaction of its own: it ends with the process, or when that is stalled. */
export function createPostgresTurns(pool: Pool): Turns {
  return {
    take: async <T>(name: string, work: () => Promise<T>): Promise<T> => {
      const begun: Promise<T>[] = [];
      const turn = pool.transaction(async (sql) => {
        await sql.query(`SET LOCAL lock_timeout = ${WAIT_MS}`);
        await sql.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [lockOf(name)]);
        begun.push(work());
        await begun[0];
      });
      // It only saves work: what comes of it itself makes no difference to what was done.
      await turn.catch(() => undefined);
      return begun[0] ?? work();
    },
    taken: async (name) => {
      const [row] = await pool.query<{ taken: boolean }>(
        'SELECT NOT pg_try_advisory_xact_lock_shared(hashtextextended($1, 0)) AS taken',
        [lockOf(name)],
      );
      return row!.taken;
    },
  };
}

function lockOf(name: string): string {
  return `caudal.turn.${name}`;
}
