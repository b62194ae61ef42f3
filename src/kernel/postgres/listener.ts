import pg from 'pg';
import { connectionOptions } from './driver.ts';
import { translate } from './sqlstate.ts';

/** A connection that waits for notifications. */
export interface Listener {
  /** Whether notifications come; they do at first. */
  hear(wanted: boolean): Promise<void>;
  close(): Promise<void>;
}

/**
 * Listens on a channel (LISTEN), a plain lower-case identifier.
 * @param onEnd told once when the connection ends, with the reason where there is one
 * @throws UnavailableError
 */
export async function openListener(
  url: string,
  applicationName: string,
  channel: string,
  onNotify: () => void,
  onEnd: (error: Error | undefined) => void,
): Promise<Listener> {
  const client = new pg.Client(connectionOptions(url, applicationName));
  let reason: Error | undefined;
  client.on('notification', onNotify);
  client.on('error', (error) => {
    reason = error;
  });
  try {
    await client.connect();
    await client.query(`LISTEN ${channel}`);
  } catch (cause) {
    await client.end().catch(() => undefined);
    throw translate(cause);
  }
  client.once('end', () => onEnd(reason));
  return {
    hear: async (wanted) => void (await client.query(`${wanted ? 'LISTEN' : 'UNLISTEN'} ${channel}`)),
    close: () => client.end(),
  };
}
