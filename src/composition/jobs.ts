import { pruneLandings } from '#kernel/bus/postgres/landings.ts';
import { type Clock, type Scheduler, systemClock } from '#kernel/core/clock.ts';
import { toError } from '#kernel/core/errors.ts';
import { makePartitionsAhead } from '#kernel/event-store/postgres/months.ts';
import type { Log } from '#kernel/observability/log.ts';
import type { DatabaseClock } from '#kernel/postgres/clock.ts';
import type { Sql } from '#kernel/postgres/sql.ts';

/** Something that is done again and again; one run at a time, and a failure is the next run's chance. */
export interface Job {
  start(): void;
  /** Resolves when no run is under way any more. */
  stop(): Promise<void>;
}

/** @param everyMs pause between two runs, milliseconds */
export function createJob(
  name: string,
  everyMs: number,
  run: () => Promise<void>,
  log: Log,
  clock: Scheduler = systemClock,
): Job {
  let cancel: () => void = () => undefined;
  let stopped = false;
  let running: Promise<void> = Promise.resolve();

  const once = async (): Promise<void> => {
    try {
      await run();
    } catch (cause) {
      if (!stopped) log.warn({ job: name, error: toError(cause) }, 'the job failed and runs again later');
    }
    if (!stopped) cancel = clock.after(everyMs, go);
  };
  const go = (): void => {
    running = once();
  };

  return {
    start: go,
    stop: async () => {
      stopped = true;
      cancel();
      await running;
    },
  };
}

const HOUR_MS = 3_600_000;
const CLOCK_SYNC_MS = 5000;
const PRUNE_BATCH = 10_000;

/** Makes next months' event partitions, so that no append has to. */
export function partitionJob(sql: Sql, clock: Clock, monthsAhead: number, log: Log): Job {
  return createJob(
    'partitions',
    HOUR_MS,
    async () => void (await makePartitionsAhead(sql, clock.now(), monthsAhead)),
    log,
  );
}

/** Keeps our time that of the database. */
export function clockJob(clock: DatabaseClock, log: Log): Job {
  return createJob('clock', CLOCK_SYNC_MS, clock.synchronize, log);
}

/** Forgets where events landed in Kafka when Kafka itself does not have them any more, a bounded number at once. */
export function landingsJob(sql: Sql, keptMs: number, log: Log): Job {
  const prune = async (): Promise<void> => {
    while ((await pruneLandings(sql, keptMs, PRUNE_BATCH)) === PRUNE_BATCH);
  };
  return createJob('prune landings', HOUR_MS, prune, log);
}

/** Forgets idempotency keys that have expired, a bounded number at once. */
export function pruneJob(sql: Sql, log: Log): Job {
  const prune = async (): Promise<void> => {
    let pruned: readonly unknown[];
    do {
      pruned = await sql.query(
        `DELETE FROM idempotency_keys WHERE ctid = ANY(ARRAY(SELECT ctid FROM idempotency_keys WHERE expires_at < now() LIMIT ${PRUNE_BATCH})) RETURNING 1`,
      );
    } while (pruned.length === PRUNE_BATCH);
  };
  return createJob('prune idempotency keys', HOUR_MS, prune, log);
}
