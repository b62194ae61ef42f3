import { type Scheduler, systemClock } from '../core/clock.ts';
import type { Sql } from './sql.ts';

/** The time by the clock of the database server, the one clock that all processes of a system share; its timers are this machine's. */
export interface DatabaseClock extends Scheduler {
  /** Asks the database for its time; to be called now and then. */
  synchronize(): Promise<void>;
}

/**
 * Deadlines, next attempts and leases are written by one process and judged by others: with clocks of their own, one that was
 * wrong by an hour would let the work it noted rest for an hour. Between two looks at the database the time goes on by
 * `performance.now()`, which does not jump when this machine's clock is set.
 * @throws UnavailableError when the database does not answer
 */
export async function openDatabaseClock(sql: Sql): Promise<DatabaseClock> {
  /** What is to be added to `performance.now()`, milliseconds. */
  let offset = Number.NaN;

  const synchronize = async (): Promise<void> => {
    const asked = performance.now();
    const [row] = await sql.query<{ now: number }>(
      'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now',
    );
    const answered = performance.now();
    const uncertainty = (answered - asked) / 2;
    const measured = row!.now - (asked + answered) / 2;
    // What is within the uncertainty of this look may be the truer one, and going on with it makes no jump.
    if (!(Math.abs(measured - offset) <= uncertainty)) offset = measured;
  };

  await synchronize();
  return { ...systemClock, now: () => Math.floor(offset + performance.now()), synchronize };
}
