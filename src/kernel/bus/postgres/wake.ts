import pg from 'pg';
import { toError } from '../../core/errors.ts';
import type { Log } from '../../observability/log.ts';
import { connectionOptions } from '../../postgres/driver.ts';
import type { Sql } from '../../postgres/sql.ts';

const CHANNEL = 'caudal_log';
const RECONNECT_MS = 500;

/** Tells other processes that the log has grown, and hears when they tell us. */
export interface WakeCall {
  start(): Promise<void>;
  /** Tells the others; several calls before the first is sent are one. */
  notify(): void;
  stop(): Promise<void>;
}

/**
 * PostgreSQL's LISTEN and NOTIFY. Notifications are sent outside the appending transaction, since a transaction that
 * notifies takes a lock of the whole server when it commits; one that gets lost costs a poll's interval.
 */
export function createWakeCall(url: string, applicationName: string, sql: Sql, log: Log, onWake: () => void): WakeCall {
  let client: pg.Client | undefined;
  let stopped = false;
  let sending = false;
  let again = false;

  const listen = async (): Promise<void> => {
    const next = new pg.Client(connectionOptions(url, applicationName));
    next.on('notification', onWake);
    next.on('error', (error) => log.warn({ error }, 'the wake-up connection broke; polling meanwhile'));
    next.on('end', () => {
      if (!stopped) setTimeout(() => void relisten(), RECONNECT_MS).unref();
    });
    await next.connect();
    await next.query(`LISTEN ${CHANNEL}`);
    client = next;
  };

  const relisten = async (): Promise<void> => {
    if (stopped) return;
    try {
      await listen();
      onWake();
    } catch (cause) {
      log.debug({ error: toError(cause) }, 'cannot listen yet');
      setTimeout(() => void relisten(), RECONNECT_MS).unref();
    }
  };

  const send = async (): Promise<void> => {
    sending = true;
    do {
      again = false;
      await sql
        .query(`SELECT pg_notify('${CHANNEL}', '')`)
        .catch((error: Error) => log.debug({ error }, 'could not wake the others'));
    } while (again);
    sending = false;
  };

  return {
    start: listen,
    notify: () => {
      if (sending) again = true;
      else void send();
    },
    stop: async () => {
      stopped = true;
      await client?.end();
    },
  };
}
