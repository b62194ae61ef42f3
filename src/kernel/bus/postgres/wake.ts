import { toError } from '../../core/errors.ts';
import type { Log } from '../../observability/log.ts';
import { type Listener, openListener } from '../../postgres/listener.ts';
import type { Sql } from '../../postgres/sql.ts';

const CHANNEL = 'caudal_log';
const RECONNECT_MS = 500;

/** Tells other processes that the log has grown, and hears when they tell us. */
export interface WakeCall {
  start(): Promise<void>;
  /**
   * Whether somebody here reads the log; at first, somebody does. Every commit of every process tells all that hear it: those that
   * need not be told would do most of their work for that, the more of them there are.
   */
  hear(wanted: boolean): void;
  /** Tells the others; several calls before the first is sent are one. */
  notify(): void;
  stop(): Promise<void>;
}

/**
 * PostgreSQL's LISTEN and NOTIFY. Notifications are sent outside the appending transaction, since a transaction that
 * notifies takes a lock of the whole server when it commits; one that gets lost costs a poll's interval.
 */
export function createWakeCall(url: string, applicationName: string, sql: Sql, log: Log, onWake: () => void): WakeCall {
  let listener: Listener | undefined;
  let stopped = false;
  let sending = false;
  let again = false;
  let wanted = true;

  const listen = async (): Promise<void> => {
    listener = await openListener(url, applicationName, CHANNEL, onWake, (error) => {
      if (!stopped) log.warn({ error }, 'the wake-up connection broke; polling meanwhile');
      listenSoon();
    });
    if (!wanted) await listener.hear(false);
  };

  const change = async (): Promise<void> => {
    try {
      await listener?.hear(wanted);
    } catch (cause) {
      // The connection has broken: the next one is opened as it is wanted then.
      log.debug({ error: toError(cause) }, 'cannot change what is listened to');
    }
    if (wanted) onWake();
  };

  const listenSoon = (): void => {
    if (!stopped) setTimeout(() => void relisten(), RECONNECT_MS).unref();
  };

  const relisten = async (): Promise<void> => {
    if (stopped) return;
    try {
      await listen();
      if (stopped) await listener?.close();
      else onWake();
    } catch (cause) {
      log.debug({ error: toError(cause) }, 'cannot listen yet');
      listenSoon();
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
    hear: (next) => {
      if (next === wanted) return;
      wanted = next;
      void change();
    },
    notify: () => {
      if (sending) again = true;
      else void send();
    },
    stop: async () => {
      stopped = true;
      await listener?.close();
    },
  };
}
